"""What classical machine learning reaches on the same pictures: features made by hand, and models without a GPU."""
