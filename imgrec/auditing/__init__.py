"""Looks for what would spoil a result: broken files, duplicates, leaks across splits, wrong labels, shortcuts."""
