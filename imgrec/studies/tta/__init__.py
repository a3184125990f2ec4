"""The study `tta`: test-time augmentation, one prediction from several views of an image."""

from imgrec.studies.tta.study import TestTimeAugmentation
from imgrec.studies.tta.views import View, take_view, views_of

__all__ = ["TestTimeAugmentation", "View", "take_view", "views_of"]
