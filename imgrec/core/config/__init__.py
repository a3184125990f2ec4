"""Configuration: building objects, checking values, and the allow-list for what comes from a checkpoint."""
