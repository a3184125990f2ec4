"""The study `ood`: whether out-of-distribution images can be told from the data's own by a model's outputs."""

from imgrec.studies.ood.study import OodFolder

__all__ = ["OodFolder"]
