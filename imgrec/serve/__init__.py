"""A model behind HTTP: images in, labels out; with keys, limits, a record of who asked, and no image kept."""
