"""Test-time augmentation: one answer from several views of an image."""

from imgrec.studies.tta.study import AveragedViews
from imgrec.studies.tta.views import View, take_view, views_of

__all__ = ["AveragedViews", "View", "take_view", "views_of"]
