"""What knows nothing of images: configuration, checkpoints, files, HTML, system."""
