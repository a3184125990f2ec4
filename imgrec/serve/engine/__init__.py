"""Decoding, batching and running models."""
