"""What classical machine learning reaches on the same images: features made by hand, and models without a GPU."""
