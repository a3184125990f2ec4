"""Hydra at the edge: the command line, composition with suggestions, help, and the entry of train and evaluate."""
