"""Temperature and decision rules of a model: fitted at the end of training, stored in checkpoints and bundles.

    decisions = Decisions.from_dict(json.loads(text))
    decided = decisions.decide(logits)
    decided.prediction(0).to_dict()    # plain data about the first image

Needs NumPy alone: no torch, no pandas, no SciPy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.errors import DataError
from imgrec.evaluation.decisions.conformal import ConformalRule
from imgrec.evaluation.decisions.costs import CostRule
from imgrec.evaluation.decisions.operating import OperatingPoint
from imgrec.evaluation.decisions.plain import from_plain, to_plain
from imgrec.evaluation.decisions.prediction import Prediction
from imgrec.evaluation.decisions.probabilities import (
    FloatArray,
    Task,
    predicted_labels,
    prediction_confidence,
    to_probabilities,
)
from imgrec.evaluation.decisions.reject import RejectRule

__all__ = ["FORMAT", "Decided", "Decisions", "FittedOn"]

FORMAT = 2  # 1: before the rules' fields were renamed, see _RENAMED


@dataclass(frozen=True)
class FittedOn:
    """The split that temperature and rules were fitted on, and its number of images."""

    split: str
    num_samples: int


@dataclass(frozen=True)
class Decided:
    """Predictions and decisions for N images and C classes; rules by name.

    Attributes:
        class_names: C names.
        probabilities: float64 (N, C), calibrated.
        predictions: int64 (N,), or with several labels per image uint8 (N, C).
        confidence: float64 (N,), probability that the prediction is correct; see `prediction_confidence`.
        rejected: By rule name, bool (N,): True where the reject rule declines to answer.
        prediction_sets: By rule name, bool (N, C): the conformal prediction set.
        operating_points: By name, bool (N, C): the probability reaches the threshold of the class.
        lowest_cost: By name of a cost table, int64 (N,): the class with the lowest expected cost.
    """

    class_names: tuple[str, ...]
    probabilities: FloatArray
    predictions: NDArray[np.int64] | NDArray[np.uint8]
    confidence: FloatArray
    rejected: Mapping[str, NDArray[np.bool_]]
    prediction_sets: Mapping[str, NDArray[np.bool_]]
    operating_points: Mapping[str, NDArray[np.bool_]]
    lowest_cost: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.confidence)

    def prediction(self, index: int, *, top_k: int | None = None, **given: Any) -> Prediction:
        """Return image `index` as a `Prediction`, classes by name.

        Args:
            index: Position among the N images.
            top_k: How many classes `probabilities` holds; None for all.
            **given: Other fields of the prediction: `path`, `frame`, `time_s`.
        """
        row, predicted = self.probabilities[index], self.predictions[index]
        order = np.argsort(-row, kind="stable")[:top_k]
        return Prediction(
            path=given.pop("path", ""),
            prediction=self._names(predicted) if self.predictions.ndim == 2 else self.class_names[int(predicted)],
            confidence=float(self.confidence[index]),
            probabilities={self.class_names[i]: float(row[i]) for i in order},
            rejected={name: bool(rows[index]) for name, rows in self.rejected.items()},
            prediction_sets={name: self._names(rows[index]) for name, rows in self.prediction_sets.items()},
            operating_points={name: self._names(rows[index]) for name, rows in self.operating_points.items()},
            lowest_cost={name: self.class_names[int(rows[index])] for name, rows in self.lowest_cost.items()},
            **given,
        )

    def _names(self, chosen: NDArray[Any]) -> list[str]:
        return [self.class_names[i] for i in np.flatnonzero(chosen)]


@dataclass(frozen=True)
class Decisions:
    """A temperature, and rules by name, for the logits of one model.

    Attributes:
        task: `"single"`, one label per image, or `"multilabel"`.
        class_names: C names, in the order of the logits.
        temperature: Logits are divided by it before they become probabilities; 1 changes nothing.
        fitted_on: None where nothing was fitted.
        reject: Reject options.
        conformal: Prediction sets.
        operating_points: Thresholds per class.
        costs: Cost tables.
        refused: Requested rules that are not available, each with the reason.
        notes: Warnings for the user.
    """

    task: Task
    class_names: tuple[str, ...]
    temperature: float = 1.0
    fitted_on: FittedOn | None = None
    reject: Mapping[str, RejectRule] = field(default_factory=dict)
    conformal: Mapping[str, ConformalRule] = field(default_factory=dict)
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    costs: Mapping[str, CostRule] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def probabilities(self, logits: NDArray[Any]) -> FloatArray:
        """Return float64 (N, C), from logits (N, C) of any float type."""
        return to_probabilities(logits, task=self.task, temperature=self.temperature)

    def decide(self, logits: NDArray[Any]) -> Decided:
        """Return predictions and decisions for logits (N, C); N may be 0.

        Raises:
            DataError: Not as many columns as classes, or a logit that is NaN or infinite.
        """
        if np.ndim(logits) != 2 or np.shape(logits)[1] != len(self.class_names):
            raise DataError(
                f"Logits of shape {np.shape(logits)}; expected (N, {len(self.class_names)}), one column per class."
            )
        if not np.isfinite(logits).all():
            raise DataError("The logits are NaN or infinite: the model or its input is broken.")
        probabilities = self.probabilities(logits)
        confidence = prediction_confidence(probabilities, task=self.task)
        return Decided(
            class_names=self.class_names,
            probabilities=probabilities,
            predictions=predicted_labels(probabilities, task=self.task),
            confidence=confidence,
            rejected={name: ~rule.accept(confidence) for name, rule in self.reject.items()},
            prediction_sets={name: rule.sets(probabilities) for name, rule in self.conformal.items()},
            operating_points={name: rule.positive(probabilities) for name, rule in self.operating_points.items()},
            lowest_cost={name: rule.labels(probabilities) for name, rule in self.costs.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON and for a checkpoint; `from_dict` gives an equal object back."""
        return {
            "format": FORMAT,
            "task": self.task,
            "class_names": list(self.class_names),
            "temperature": self.temperature,
            "fitted_on": None if self.fitted_on is None else to_plain(self.fitted_on),
            **{kind: {name: to_plain(rule) for name, rule in getattr(self, kind).items()} for kind in _KINDS},
            "refused": dict(self.refused),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Decisions":
        """Read the result of `to_dict`, of this format or an earlier one, checking every value.

        Raises:
            DataError: Damaged, or of an unknown format.
        """
        data = _upgraded(data)
        _check_head(data)
        fitted_on = data["fitted_on"]
        made = cls(
            task=data["task"],
            class_names=tuple(data["class_names"]),
            temperature=float(data["temperature"]),
            fitted_on=None if fitted_on is None else from_plain(FittedOn, fitted_on, where="decisions.fitted_on"),
            refused=dict(data["refused"]),
            notes=tuple(data["notes"]),
            **{
                kind: {
                    name: from_plain(rule, value, where=f"decisions.{kind}.{name}")
                    for name, value in data[kind].items()
                }
                for kind, rule in _KINDS.items()
            },
        )
        _check_widths(made)
        return made


_KINDS: dict[str, type] = {
    "reject": RejectRule,
    "conformal": ConformalRule,
    "operating_points": OperatingPoint,
    "costs": CostRule,
}


_RENAMED = {"accepted": "num_accepted", "wrong": "num_errors", "limit": "threshold"}  # fields of rules in format 1


def _upgraded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return data of format 1 as format 2; anything else, damaged data included, as it is."""
    if not isinstance(data, Mapping) or data.get("format") != 1:
        return data
    renamed = {
        kind: {
            name: {_RENAMED.get(key, key): value for key, value in rule.items()} if isinstance(rule, Mapping) else rule
            for name, rule in data[kind].items()
        }
        for kind in ("reject", "conformal")
        if isinstance(data.get(kind), Mapping)
    }
    return {**data, **renamed, "format": FORMAT}


def _check_head(data: Mapping[str, Any]) -> None:
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        seen = data.get("format") if isinstance(data, Mapping) else type(data).__name__
        raise DataError(f"Decisions of format {seen!r}; this imgrec reads 1 to {FORMAT}. Evaluate or train again.")
    checks: dict[str, Callable[[Any], bool]] = {
        "task": lambda value: value in ("single", "multilabel"),
        "class_names": _is_texts,
        "temperature": lambda value: isinstance(value, int | float) and 0 < value < float("inf"),
        "fitted_on": lambda value: value is None or isinstance(value, Mapping),
        **dict.fromkeys(_KINDS, _is_named),
        "refused": lambda value: _is_named(value) and _is_texts(list(value.values())),
        "notes": _is_texts,
    }
    for key, is_valid in checks.items():
        if key not in data or not is_valid(data[key]):
            raise DataError(f"decisions.{key} is damaged: {data.get(key)!r}. Evaluate or train again.")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_named(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _check_widths(decisions: Decisions) -> None:
    """Raise DataError where a rule is for another number of classes."""
    width = len(decisions.class_names)
    lengths = {f"operating_points.{name}": [rule.thresholds] for name, rule in decisions.operating_points.items()}
    lengths |= {f"costs.{name}": [rule.costs, *rule.costs] for name, rule in decisions.costs.items()}  # type: ignore[list-item]
    for name, rows in lengths.items():
        if any(len(row) != width for row in rows):
            raise DataError(f"decisions.{name} is damaged: it is not for {width} classes.")
