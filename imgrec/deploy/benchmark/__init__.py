"""Latency and throughput of models, side by side."""
