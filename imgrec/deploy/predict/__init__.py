"""Predict images from files, archives, videos and cameras, and write the predictions as a table."""
