"""TensorBoard: figures, metrics and embeddings of an evaluation."""
