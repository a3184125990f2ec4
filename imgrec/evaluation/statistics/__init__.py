"""Statistics of metrics: intervals, bootstrap, agreement, paired tests."""
