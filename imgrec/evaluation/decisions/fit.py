"""Rules fitted on images whose labels are known, and why some of them cannot be had."""

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
from imgrec.evaluation.decisions.probabilities import FloatArray, Task, predicted_labels, prediction_confidence
from imgrec.evaluation.decisions.reject import RejectRule, fewest_answers, fit_reject

__all__ = ["Calibration", "fit_conformals", "fit_points", "fit_rejects"]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The N images to fit on: probabilities (N, C), labels int64 (N,) or for several 0/1 (N, C), groups or None."""

    probabilities: FloatArray
    labels: NDArray[Any]
    task: Task
    class_names: Sequence[str]
    groups: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        """(N,): whether the most probable answer is wrong; with several labels, any of them."""
        wrong = predicted_labels(self.probabilities, task=self.task) != self.labels
        return np.asarray(wrong.any(axis=1) if wrong.ndim == 2 else wrong)

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(N, C): which classes are true."""
        return np.asarray(
            self.labels == 1 if self.task == "multilabel" else self.labels[:, None] == np.arange(len(self.class_names))
        )

    def notes(self) -> Iterator[str]:
        """Yield what weakens every guarantee that is fitted here."""
        there = self.truth.any(axis=0)
        if self.task == "single" and there.sum() == 1:
            only = self.class_names[int(there.argmax())]
            yield f"All images that this was fitted on are {only}: they tell nothing of the other classes."
        if self.groups is not None and (largest := max(Counter(self.groups).values())) > 1:
            yield (
                f"The {len(self):,} images are of {len(set(self.groups)):,} groups, up to {largest:,} in one, and "
                "images of a group are alike. The guarantees count them as independent, which makes them too strong."
            )


def fit_rejects(
    on: Calibration, *, risks: Sequence[float], delta: float, refused: dict[str, str]
) -> dict[str, RejectRule]:
    """Return the reject options that can be had; the reasons of the others go into `refused`."""
    confidence, is_wrong = prediction_confidence(on.probabilities, task=on.task), on.is_wrong
    rules = {}
    for risk in risks:
        name, fewest = f"risk_{percent(risk)}", fewest_answers(risk=risk, delta=delta)
        rule = fit_reject(confidence, is_wrong, risk=risk, delta=delta)
        if rule is not None:
            rules[name] = rule
        elif len(on) < fewest:
            refused[name] = (
                f"{len(on):,} images cannot show that at most {percent(risk)} % of the answers are wrong, even if "
                f"all are right: it takes {fewest:,} or more."
            )
        else:
            refused[name] = (
                f"No confidence is high enough to guarantee at most {percent(risk)} % wrong: {int(is_wrong.sum()):,} of "
                f"{len(on):,} answers are wrong, too many of them among the surest."
            )
    return rules


def fit_conformals(
    on: Calibration, *, methods: Sequence[Method], coverages: Sequence[float], refused: dict[str, str]
) -> dict[str, ConformalRule]:
    """Return the rules for sets of classes that can be had; the reasons of the others go into `refused`."""
    rules = {}
    for method in methods:
        for coverage in coverages:
            name, fewest = f"{method}_{percent(coverage)}", fewest_samples(coverage)
            if method == "aps" and on.task == "multilabel":
                refused[name] = "APS is for one label per image; LAC serves several."
            elif len(on) < fewest:
                refused[name] = (
                    f"{len(on):,} images are too few to guarantee {percent(coverage)} %: it takes {fewest:,} or more."
                )
            elif not on.truth.any():
                refused[name] = "No image has a label, so there is nothing to cover."
            else:
                rules[name] = fit_conformal(on.probabilities, on.labels, task=on.task, method=method, coverage=coverage)
    return rules


def fit_points(
    on: Calibration, *, points: Mapping[str, Mapping[str, Any]], refused: dict[str, str]
) -> dict[str, OperatingPoint]:
    """Return the operating points that any class has; which classes lack theirs, and why, goes into `refused`."""
    rules = {}
    for name, point in points.items():
        chosen = _classes(on, point)
        measure: Measure = "sensitivity" if "sensitivity" in point else "specificity"
        kind = "with it" if measure == "sensitivity" else "without it"
        target = float(point[measure])
        limits = [
            fit_threshold(on.probabilities[:, i], on.truth[:, i], measure=measure, target=target)
            for i in range(len(on.class_names))
        ]
        kept = tuple(limit if own in chosen else None for own, limit in zip(on.class_names, limits, strict=True))
        without = [own for own, limit in zip(on.class_names, kept, strict=True) if own in chosen and limit is None]
        if without:
            refused[name] = (
                f"{percent(target)} % {measure} takes {fewest_samples(target):,} or more images {kind}; there are "
                f"fewer for {listed(without)}."
            )
        if len(without) < len(chosen):
            rules[name] = OperatingPoint(measure, target, kept, len(on))
    return rules


def _classes(on: Calibration, point: Mapping[str, Any]) -> list[str]:
    """Return the classes that an operating point is for: those named, of two classes the second, else all."""
    if point.get("classes"):
        return [str(name) for name in point["classes"]]
    is_binary = on.task == "single" and len(on.class_names) == 2
    return [on.class_names[1]] if is_binary else list(on.class_names)
