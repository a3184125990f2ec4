"""Checkpoints: durable writing, safe loading, and what is inside."""
