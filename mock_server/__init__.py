"""A mock Exchange organisation: client access, mailbox, public folder, directory servers on real sockets."""
