"""Data made ready for training many times: decoded once and resized into shards, or packed into tar files."""
