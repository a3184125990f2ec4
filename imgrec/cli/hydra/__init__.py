"""Train and evaluate on the command line: entry and help."""
