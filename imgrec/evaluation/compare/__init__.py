"""Paired comparison of two or more runs on the same images."""
