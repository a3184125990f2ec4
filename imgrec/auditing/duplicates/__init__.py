"""Exact and near-duplicates, also across splits."""
