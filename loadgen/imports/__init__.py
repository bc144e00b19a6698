"""What others have measured: perfmon logs, lists of connections, a table filled from a LoadGen report."""
