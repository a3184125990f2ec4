"""What an evaluation writes to TensorBoard."""
