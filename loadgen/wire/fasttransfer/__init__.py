"""FastTransfer streams ([MS-OXCFXICS] 2.2.4): bytes, elements, and the objects that they make up."""
