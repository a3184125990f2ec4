"""Looks for what would spoil a result: broken files, twins, leaks across splits, wrong labels, shortcuts."""
