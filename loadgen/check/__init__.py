"""One user, step by step, against one target: what works, what does not, and what would help."""
