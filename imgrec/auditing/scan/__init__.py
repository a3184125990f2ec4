"""Reads every file once: header, decoding, measured properties, hashes; kept in a store."""
