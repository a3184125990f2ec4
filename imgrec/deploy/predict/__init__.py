"""Pictures from anywhere, a model, and a table of what it says: each picture one row, bad ones with a reason."""
