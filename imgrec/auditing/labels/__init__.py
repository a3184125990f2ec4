"""Suspected label errors, from out-of-fold probabilities."""
