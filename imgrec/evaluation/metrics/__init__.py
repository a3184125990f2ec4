"""Metrics with their intervals, from a table of predictions."""
