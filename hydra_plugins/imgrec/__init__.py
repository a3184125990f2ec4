"""Hydra finds imgrec's plugins here. `hydra_plugins` itself is shared between packages and has no __init__.py."""
