"""Train, val and test splits and folds, by class, group or time; split files."""
