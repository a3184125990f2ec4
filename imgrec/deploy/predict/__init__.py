"""Images from anywhere, a model, and a table of what it says: each image one row, bad ones with a reason."""
