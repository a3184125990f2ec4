"""Pictures of something else, and whether a network tells them from those that it was made for."""

from imgrec.studies.ood.study import ForeignFolder

__all__ = ["ForeignFolder"]
