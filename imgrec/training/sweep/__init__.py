"""Sweeps: a process per job, and the tables of their results."""
