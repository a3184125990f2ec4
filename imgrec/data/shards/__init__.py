"""Tar shards: index, members, order, cache, remote reading."""
