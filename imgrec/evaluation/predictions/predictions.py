"""The predictions table: labels, logits and metadata of a set of images, from which all metrics are computed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import listed, printable
from imgrec.errors import DataError, MissingExtraError
from imgrec.evaluation.decisions.probabilities import predicted_labels, to_probabilities

__all__ = ["Predictions"]


@dataclass(frozen=True)
class Predictions:
    """Labels and logits of N images.

    Attributes:
        names: Path of each image as found.
        labels: int64 (N,) class indices; with `task="multilabel"` uint8 (N, C) of 0 and 1.
        logits: float32 (N, C), raw output of the model.
        class_names: C names, in the order of labels and logits.
        task: `"single"` or `"multilabel"`.
        groups: One name per image (patient, video, site), or None.
        provenance: Checkpoint, data and versions, as strings.
        temperature: Logits are divided by it before they become probabilities; 1 = uncalibrated.
        columns: Metadata by name: float64 (N,) with NaN for missing, or strings with "" for missing. `meta:NAME` is
            from the data, `image:NAME` was measured.

    Raises:
        DataError: No images, duplicate class names, a label out of range, logits that are not finite, or a temperature
            that is not above 0.
    """

    names: Sequence[str]
    labels: NDArray[np.int64] | NDArray[np.uint8]
    logits: NDArray[np.float32]
    class_names: Sequence[str]
    task: Literal["single", "multilabel"] = "single"
    groups: Sequence[str] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    columns: Mapping[str, NDArray[np.float64] | Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.class_names))
        is_single = self.task == "single"
        assert self.logits.shape == shape and self.logits.dtype == np.float32
        assert self.labels.shape == (shape[:1] if is_single else shape)
        assert self.labels.dtype == (np.int64 if is_single else np.uint8)
        assert self.groups is None or len(self.groups) == len(self.names)
        assert all(len(column) == len(self.names) for column in self.columns.values())
        self._check_classes()
        self._check_rows()

    def __repr__(self) -> str:
        names = listed(self.class_names, limit=5)
        return f"Predictions(task={self.task!r}, images={len(self)}, classes={len(self.class_names)}: {names})"

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 (N, C): softmax over the classes; with several labels per image the sigmoid of each logit."""
        return to_probabilities(self.logits, task=self.task, temperature=self.temperature)

    @cached_property
    def predicted(self) -> NDArray[np.int64] | NDArray[np.uint8]:
        """Predicted labels, in the form of `labels`: the most probable class, on ties the first; or p > 0.5."""
        return predicted_labels(self.probabilities, task=self.task)

    def confusion_matrix(self) -> NDArray[np.int64]:
        """Return int64 (C, C): rows are labels, columns are predictions, both in the order of `class_names`.

        Raises:
            DataError: Several labels per image.
        """
        if self.task == "multilabel":
            raise DataError("With several labels per image there is no confusion matrix. See per_class.csv.")
        size = len(self.class_names)
        pairs = np.asarray(self.labels, dtype=np.int64) * size + self.predicted
        return np.bincount(pairs, minlength=size * size).reshape(size, size)

    def to_pandas(self) -> Any:
        """Return a pandas data frame: the columns of predictions.parquet, one row per image.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from imgrec.evaluation.predictions.columns import to_table

        try:
            return to_table(self).to_pandas()
        except ImportError:
            raise MissingExtraError("pandas", "clean") from None

    def _check_classes(self) -> None:
        fewest = 2 if self.task == "single" else 1
        if len(self.class_names) < fewest:
            raise DataError(f"{len(self.class_names)} classes; there must be {fewest} or more.")
        doubled = [name for name, count in Counter(map(printable, self.class_names)).items() if count > 1]
        if doubled:
            raise DataError(f"Class names occur twice: {', '.join(doubled)}. Give each class a unique name.")

    def _check_rows(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise DataError(f"temperature={self.temperature}, but it must be a number above 0.")
        if not len(self):
            raise DataError("No predictions: the evaluated split has no images.")
        largest = len(self.class_names) - 1 if self.task == "single" else 1
        outside = np.flatnonzero(((self.labels < 0) | (self.labels > largest)).reshape(len(self), -1).any(axis=1))
        if len(outside):
            name, label = printable(self.names[outside[0]]), self.labels[outside[0]].tolist()
            raise DataError(f"{name} has the label {label}; labels must lie between 0 and {largest}.")
        broken = np.flatnonzero(~np.isfinite(self.logits).all(axis=1))
        if len(broken):
            raise DataError(
                f"The logits of {len(broken)} of {len(self)} images are NaN or infinite, "
                f"first {printable(self.names[broken[0]])}. Use a checkpoint from before training "
                "diverged, or lower optimizer.lr."
            )
