"""What can be asked of a trained model beyond its metrics: robustness, OOD, TTA, saliency, baselines."""
