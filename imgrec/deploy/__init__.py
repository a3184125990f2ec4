"""From a checkpoint to files that ship, and what runs them."""
