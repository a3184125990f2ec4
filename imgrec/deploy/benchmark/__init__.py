"""How fast models answer, side by side."""
