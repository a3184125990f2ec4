"""From a checkpoint to files that other runtimes take, each checked against the checkpoint on real images."""
