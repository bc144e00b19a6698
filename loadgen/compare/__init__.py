"""Runs, plans and imports side by side: what differs, what does not, and what can't be told."""
