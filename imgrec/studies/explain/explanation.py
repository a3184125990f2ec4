"""A saliency map of one image with its checks: what `Model.explain` returns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array

if TYPE_CHECKING:
    from imgrec.studies.explain.examine import Examination

__all__ = ["Explanation"]


@dataclass(frozen=True)
class Explanation:
    """A saliency map of one image with its checks; shows itself in a notebook.

    Attributes:
        path: Of the image; "" where it has none.
        target: The class that is explained.
        prediction: The most probable class, and `confidence` its probability.
        examination: The checks: deletion and insertion curves, weights randomised, the verdict.
    """

    path: str
    target: str
    prediction: str
    confidence: float
    examination: "Examination"

    @property
    def map(self) -> NDArray[Any]:
        """Float (H, W) of the preprocessed image; positive: the pixel speaks for the target."""
        return np.asarray(self.examination.saliency.values)

    @property
    def image(self) -> UInt8Array:
        """The preprocessed image, uint8 (H, W, 3)."""
        return self.examination.image

    @property
    def verdict(self) -> str:
        """`"trustworthy"`, `"weak"` or `"bad"`; see docs/explain.md."""
        return self.examination.verdict.grade

    @property
    def reason(self) -> str:
        """Why the verdict is so."""
        return self.examination.verdict.reason

    def figure(self) -> Any:
        """Return a matplotlib figure: image, map, map of randomised weights, curves, verdict."""
        from imgrec.studies.explain.panel import Caption, draw_panel

        probability = self.examination.probability
        return draw_panel(
            self.examination, Caption(self.path, "", self.prediction, self.confidence, self.target, probability)
        )

    def _repr_png_(self) -> bytes:
        from io import BytesIO

        data = BytesIO()
        self.figure().savefig(data, format="png")
        return data.getvalue()
