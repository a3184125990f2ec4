"""The verbs of `imgrec`: one file each, with `main`."""
