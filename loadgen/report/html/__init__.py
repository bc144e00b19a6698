"""``report.html``: one self-contained file about one run."""
