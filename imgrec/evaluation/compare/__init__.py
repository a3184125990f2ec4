"""Two or more runs on the same pictures: which is better, how surely, where, and on which pictures they differ."""
