"""A synthetic Outlook on real sockets: one await is one call."""
