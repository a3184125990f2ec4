"""Fits all rules of a plan on labelled images, with a reason for each rule that is not available."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import listed
from imgrec.evaluation.decisions.conformal import ConformalRule, Method, fewest_samples, fit_conformal
from imgrec.evaluation.decisions.naming import percent
from imgrec.evaluation.decisions.operating import Measure, OperatingPoint, fit_threshold
from imgrec.evaluation.decisions.probabilities import (
    FloatArray,
    Task,
    predicted_labels,
    prediction_confidence,
    true_classes,
)
from imgrec.evaluation.decisions.reject import RejectRule, fewest_predictions, fit_reject

__all__ = ["Calibration", "fit_conformals", "fit_points", "fit_rejects"]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The N images to fit on.

    Attributes:
        probabilities: (N, C).
        labels: int64 (N,); with several labels per image 0/1 (N, C).
        task: `"single"` or `"multilabel"`.
        class_names: C names.
        groups: One name per image, or None.
    """

    probabilities: FloatArray
    labels: NDArray[Any]
    task: Task
    class_names: Sequence[str]
    groups: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_error(self) -> NDArray[np.bool_]:
        """(N,): whether the prediction is incorrect; with several labels, whether any of them is."""
        differs = predicted_labels(self.probabilities, task=self.task) != self.labels
        return np.asarray(differs.any(axis=1) if differs.ndim == 2 else differs)

    @property
    def is_true(self) -> NDArray[np.bool_]:
        """(N, C): which classes each image has."""
        return true_classes(self.labels, len(self.class_names))

    def notes(self) -> Iterator[str]:
        """Yield warnings that apply to every guarantee fitted on these images."""
        has_images = self.is_true.any(axis=0)
        if self.task == "single" and has_images.sum() == 1:
            only = self.class_names[int(has_images.argmax())]
            yield f"All images that the rules were fitted on are {only}: nothing is known about the other classes."
        if self.groups is not None and (largest := max(Counter(self.groups).values())) > 1:
            yield (
                f"The {len(self):,} images are from {len(set(self.groups)):,} groups (up to {largest:,} in one). "
                "The guarantees assume independent images, so they are too optimistic here."
            )


def fit_rejects(
    on: Calibration, *, risks: Sequence[float], delta: float, refused: dict[str, str]
) -> dict[str, RejectRule]:
    """Return the reject options that are available; the reasons for the others go into `refused`."""
    confidence, is_error = prediction_confidence(on.probabilities, task=on.task), on.is_error
    rules = {}
    for risk in risks:
        name, fewest = f"risk_{percent(risk)}", fewest_predictions(risk=risk, delta=delta)
        rule = fit_reject(confidence, is_error, risk=risk, delta=delta)
        if rule is not None:
            rules[name] = rule
        elif len(on) < fewest:
            refused[name] = (
                f"{len(on):,} images are too few to guarantee an error rate of at most {percent(risk)} %: even without "
                f"errors it takes {fewest:,} or more."
            )
        else:
            refused[name] = (
                f"No confidence threshold guarantees an error rate of at most {percent(risk)} %: "
                f"{int(is_error.sum()):,} of {len(on):,} predictions are incorrect, too many of them with high "
                "confidence."
            )
    return rules


def fit_conformals(
    on: Calibration, *, methods: Sequence[Method], coverages: Sequence[float], refused: dict[str, str]
) -> dict[str, ConformalRule]:
    """Return the conformal rules that are available; the reasons for the others go into `refused`."""
    rules = {}
    for method in methods:
        for coverage in coverages:
            name, fewest = f"{method}_{percent(coverage)}", fewest_samples(coverage)
            if method == "aps" and on.task == "multilabel":
                refused[name] = "APS needs one label per image. Use LAC."
            elif len(on) < fewest:
                refused[name] = (
                    f"{len(on):,} images are too few for {percent(coverage)} % coverage: it takes {fewest:,} or more."
                )
            elif not on.is_true.any():
                refused[name] = "No image has a label, so there is nothing to cover."
            else:
                rules[name] = fit_conformal(on.probabilities, on.labels, task=on.task, method=method, coverage=coverage)
    return rules


def fit_points(
    on: Calibration, *, points: Mapping[str, Mapping[str, Any]], refused: dict[str, str]
) -> dict[str, OperatingPoint]:
    """Return the operating points; which classes have none, and why, goes into `refused`."""
    rules = {}
    for name, point in points.items():
        chosen = _classes(on, point)
        measure: Measure = "sensitivity" if "sensitivity" in point else "specificity"
        kind = "with it" if measure == "sensitivity" else "without it"
        target = float(point[measure])
        thresholds = [
            fit_threshold(on.probabilities[:, i], on.is_true[:, i], measure=measure, target=target)
            for i in range(len(on.class_names))
        ]
        kept = tuple(one if own in chosen else None for own, one in zip(on.class_names, thresholds, strict=True))
        without = [own for own, one in zip(on.class_names, kept, strict=True) if own in chosen and one is None]
        if without:
            refused[name] = (
                f"{percent(target)} % {measure} takes {fewest_samples(target):,} or more images {kind}; there are "
                f"fewer for {listed(without)}."
            )
        if len(without) < len(chosen):
            rules[name] = OperatingPoint(measure, target, kept, len(on))
    return rules


def _classes(on: Calibration, point: Mapping[str, Any]) -> list[str]:
    """Return the classes of an operating point: those named, else with two classes the second, else all."""
    if point.get("classes"):
        return [str(name) for name in point["classes"]]
    is_binary = on.task == "single" and len(on.class_names) == 2
    return [on.class_names[1]] if is_binary else list(on.class_names)
