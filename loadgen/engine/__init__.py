"""Runs a population along its schedule, in one process or several, and judges the result."""
