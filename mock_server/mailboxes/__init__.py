"""What stores hold: mailboxes, folders, messages, and what has changed in them."""
