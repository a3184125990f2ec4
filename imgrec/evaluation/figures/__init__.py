"""Figures, thumbnails and the printed table of an evaluation."""
