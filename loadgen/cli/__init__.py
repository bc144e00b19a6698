"""The command line: a file per command, which parses, calls, prints, and decides nothing."""
