"""Sweeps: one process a job, and the table of their results."""
