"""Remote operations ([MS-OXCROPS]): a file per document, and a registry by RopId."""
