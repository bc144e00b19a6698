"""Remote operations carried out on a mailbox: a file per document."""
