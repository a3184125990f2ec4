"""Augmentation of training images and batches, keyed by seed, epoch and sample."""
