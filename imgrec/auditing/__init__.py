"""Audit of a data set: broken files, duplicates, leaks across splits, label errors, shortcuts, outliers."""
