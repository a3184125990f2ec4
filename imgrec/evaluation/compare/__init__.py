"""Two or more runs on the same images: which is better, how surely, where, and on which images they differ."""
