"""Classical baselines on the same splits: hand-crafted or frozen features with scikit-learn models."""
