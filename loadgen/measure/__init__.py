"""What was measured, and how it is kept: samples, histograms, connection counts, results files."""
