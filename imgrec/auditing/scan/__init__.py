"""Reads every file once: header, decoding, measured properties and hashes, cached in SQLite."""
