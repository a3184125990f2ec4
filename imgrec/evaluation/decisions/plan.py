"""The `decisions` group of the configuration: which rules to fit."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from imgrec.core.config.checks import check_choice, check_number
from imgrec.errors import ConfigError
from imgrec.evaluation.decisions.conformal import Method
from imgrec.evaluation.decisions.costs import make_cost_rule
from imgrec.evaluation.decisions.decisions import Decisions, FittedOn
from imgrec.evaluation.decisions.fit import Calibration, fit_conformals, fit_points, fit_rejects
from imgrec.evaluation.decisions.naming import as_mapping, check_classes
from imgrec.evaluation.decisions.probabilities import Task, to_probabilities
from imgrec.evaluation.decisions.temperature import Temperature, fit_temperature

__all__ = ["Plan"]

_METHODS = ("lac", "aps")
_MEASURES = ("sensitivity", "specificity")


class Plan:
    """Temperature and rules to fit on the validation split.

    Args:
        temperature: Whether to fit one; false = 1.
        risks: For each, a reject option named `risk_PERCENT`: at most this error rate among accepted predictions.
        delta: Probability that such a guarantee fails, over the draw of the validation images.
        conformal: Methods of prediction sets, `"lac"` and `"aps"`.
        coverages: For each, and each method, prediction sets named `METHOD_PERCENT`.
        operating_points: By name, `{"sensitivity": 0.95}` or `{"specificity": 0.95}`, and optionally `"classes"`, a
            list. With two classes the second is the positive one.
        costs: By name, `{true class: {predicted class: cost}}`; an error that is not listed costs 1.
        holdout: None fits on the validation split. A share in (0, 1) splits the evaluated split: rules are fitted on
            that share of it, metrics are of the rest. evaluate.py only.

    Raises:
        ConfigError: A number out of range, or an unknown name.
    """

    def __init__(
        self,
        *,
        temperature: bool = True,
        risks: Sequence[float] = (),
        delta: float = 0.05,
        conformal: Sequence[Method] = (),
        coverages: Sequence[float] = (),
        operating_points: Mapping[str, Mapping[str, Any]] | None = None,
        costs: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        holdout: float | None = None,
    ) -> None:
        shares = {"risks": risks, "coverages": coverages, "delta": [delta]}
        shares["holdout"] = [] if holdout is None else [holdout]
        for key, values in shares.items():
            for value in values:
                check_number(f"decisions.{key}", value, above=0, below=1)
        for method in conformal:
            check_choice("decisions.conformal", method, _METHODS)
        self.temperature = temperature
        self.risks = list(risks)
        self.delta = delta
        self.conformal = list(conformal)
        self.coverages = list(coverages)
        self.operating_points = dict(operating_points or {})
        self.costs = dict(costs or {})
        self.holdout = holdout
        for name, point in self.operating_points.items():
            _check_point(f"decisions.operating_points.{name}", point)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be fitted."""
        return not (self.temperature or self.risks or self.conformal or self.operating_points or self.costs)

    def check(self, class_names: Sequence[str], *, task: Task) -> None:
        """Check what depends on the classes; a run does so before it trains.

        Raises:
            ConfigError: An unknown class, or costs with several labels per image.
        """
        for name, point in self.operating_points.items():
            names = [str(own) for own in point.get("classes") or []]
            check_classes(f"decisions.operating_points.{name}.classes", names, class_names)
        for name, costs in self.costs.items():
            key = f"decisions.costs.{name}"
            if task == "multilabel":
                raise ConfigError(f"{key}: costs need one label per image. Use an operating point instead.")
            make_cost_rule(key, costs, class_names=class_names)

    def fit(
        self,
        logits: NDArray[Any],
        labels: NDArray[Any],
        *,
        task: Task,
        class_names: Sequence[str],
        split: str,
        groups: Sequence[str] | None = None,
    ) -> Decisions:
        """Return temperature and rules fitted on N images.

        A rule that is not available is in `refused` of the result, with the reason.

        Args:
            logits: (N, C), N above 0.
            labels: int64 (N,); with several labels per image 0/1 (N, C).
            task: `"single"` or `"multilabel"`.
            class_names: C names.
            split: Name of the split that the images are from.
            groups: One name per image, where images come in groups (patients, videos).

        Raises:
            ConfigError: As `check`.
        """
        self.check(class_names, task=task)
        temperature = fit_temperature(logits, labels, task=task) if self.temperature else Temperature(1.0)
        probabilities = to_probabilities(logits, task=task, temperature=temperature.value)
        on = Calibration(probabilities=probabilities, labels=labels, task=task, class_names=class_names, groups=groups)
        refused: dict[str, str] = {}
        notes = [temperature.note] if temperature.note else []
        return Decisions(
            task=task,
            class_names=tuple(class_names),
            temperature=temperature.value,
            fitted_on=FittedOn(split, len(labels)),
            reject=fit_rejects(on, risks=self.risks, delta=self.delta, refused=refused),
            conformal=fit_conformals(on, methods=self.conformal, coverages=self.coverages, refused=refused),
            operating_points=fit_points(on, points=self.operating_points, refused=refused),
            costs={
                name: make_cost_rule(f"decisions.costs.{name}", costs, class_names=class_names)
                for name, costs in self.costs.items()
            },
            refused=refused,
            notes=(*notes, *on.notes()),
        )


def _check_point(key: str, point: object) -> None:
    given = as_mapping(key, point)
    measures = [name for name in _MEASURES if name in given]
    unknown = [name for name in given if name not in (*_MEASURES, "classes")]
    if unknown:
        raise ConfigError(f"{key}.{unknown[0]} is not a key of an operating point (sensitivity, specificity, classes).")
    if len(measures) != 1:
        raise ConfigError(f"{key}: give sensitivity or specificity, such as {{sensitivity: 0.95}}.")
    check_number(f"{key}.{measures[0]}", given[measures[0]], above=0, below=1)
    if not isinstance(given.get("classes") or [], list):
        raise ConfigError(f"{key}.classes={given['classes']!r}, but it must be a list of classes.")
