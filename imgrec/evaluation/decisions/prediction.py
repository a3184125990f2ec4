"""The one schema of a prediction: `imgrec predict`, the HTTP API and the Python API all use its keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from imgrec.core.config.checks import check_count

__all__ = ["Prediction"]


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for one image, or the reason why there is none.

    Attributes:
        path: What was read; `""` for an image that has no name.
        prediction: Name of the predicted class; a list of names with several labels per image; None on an error.
        confidence: Calibrated probability that the prediction is correct, 0 to 1; None on an error.
        probabilities: Calibrated probability by class name, most probable first; all classes or the top k.
        rejected: By rule name, True where the rule declines to answer.
        prediction_sets: By rule name, the class names of the conformal prediction set.
        operating_points: By name, the classes whose probability reaches their threshold there.
        lowest_cost: By name of a cost table, the class with the lowest expected cost.
        frame: Index of the frame in a video, from 0; None for an image.
        time_s: Seconds since the start of a video; None for an image.
        error: Reason code where there is no prediction, such as `"truncated"`.
        detail: One sentence that describes the error.
    """

    path: str
    prediction: str | list[str] | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, bool] = field(default_factory=dict)
    prediction_sets: Mapping[str, list[str]] = field(default_factory=dict)
    operating_points: Mapping[str, list[str]] = field(default_factory=dict)
    lowest_cost: Mapping[str, str] = field(default_factory=dict)
    frame: int | None = None
    time_s: float | None = None
    error: str | None = None
    detail: str | None = None

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable classes with their probabilities, most probable first.

        Raises:
            ConfigError: `k` is not a whole number, 1 or more.
        """
        check_count("k", k, at_least=1)
        return list(self.probabilities.items())[:k]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, in the order of the attributes; None and empty mappings are omitted."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
        return {name: value for name, value in plain.items() if value is not None and value != {}}
