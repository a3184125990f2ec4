"""Images of something else, and whether a network tells them from those that it was made for."""

from imgrec.studies.ood.study import OodFolder

__all__ = ["OodFolder"]
