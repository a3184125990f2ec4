"""Arguments of verbs turned into data and models."""
