"""Figures of an evaluation: matplotlib, thumbnails, and the table of metrics in the terminal."""
