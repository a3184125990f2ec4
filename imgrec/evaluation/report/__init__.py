"""report.html and sweep.html, and the evaluation in TensorBoard."""
