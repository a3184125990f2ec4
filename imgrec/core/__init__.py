"""Building blocks that know nothing of images: configuration, checkpoints, files, HTML pages, system."""
