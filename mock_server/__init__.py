"""A mock Exchange organisation: client access, mailbox, public folder and directory servers on real sockets."""
