"""Cost-sensitive decisions: the class with the lowest expected cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_number
from imgrec.evaluation.decisions.naming import as_mapping, check_classes
from imgrec.evaluation.decisions.probabilities import FloatArray

__all__ = ["CostRule", "make_cost_rule"]


@dataclass(frozen=True)
class CostRule:
    """Predict the class with the lowest expected cost; only as good as the probabilities are calibrated.

    Attributes:
        costs: (C, C), rows: true class, columns: predicted class.
    """

    costs: tuple[tuple[float, ...], ...]

    def expected(self, probabilities: FloatArray) -> FloatArray:
        """Return (N, C): the expected cost of predicting each class."""
        return np.asarray(probabilities @ np.array(self.costs))

    def labels(self, probabilities: FloatArray) -> NDArray[np.int64]:
        """Return (N,): the class with the lowest expected cost; on ties the most probable one."""
        expected = self.expected(probabilities)
        is_cheapest = expected <= expected.min(axis=1, keepdims=True) * (1 + 1e-12)
        return np.asarray(np.where(is_cheapest, probabilities, -1.0).argmax(axis=1), dtype=np.int64)


def make_cost_rule(key: str, costs: object, *, class_names: Sequence[str]) -> CostRule:
    """Return the rule of a table of costs.

    Args:
        key: Name of the setting in messages.
        costs: {true class: {predicted class: cost}}. An error that is not listed costs 1, a correct prediction 0.
        class_names: Classes of the data.

    Raises:
        ConfigError: A name that is not a class, or a cost that is not a number of 0 or more.
    """
    table = 1.0 - np.eye(len(class_names))
    place = {name: i for i, name in enumerate(class_names)}
    rows = as_mapping(key, costs)
    check_classes(key, list(rows), class_names)
    for true, row in rows.items():
        columns = as_mapping(f"{key}.{true}", row)
        check_classes(f"{key}.{true}", list(columns), class_names)
        for predicted, cost in columns.items():
            check_number(f"{key}.{true}.{predicted}", cost, at_least=0)
            table[place[true], place[predicted]] = cost
    return CostRule(tuple(tuple(map(float, row)) for row in table))
