"""The table of predictions: how it is collected, what it holds, how it is stored."""
