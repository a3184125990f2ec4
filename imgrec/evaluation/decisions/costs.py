"""The answer that costs least: what each mistake costs is the user's to say."""

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
    """Answer with the class whose expected cost is least: sum over true classes of probability x cost.

    costs: (C, C), rows the true class, columns the answer. As good as the probabilities are: calibrate first.
    """

    costs: tuple[tuple[float, ...], ...]

    def expected(self, probabilities: FloatArray) -> FloatArray:
        """Return (N, C): what each answer would cost on average."""
        return np.asarray(probabilities @ np.array(self.costs))

    def labels(self, probabilities: FloatArray) -> NDArray[np.int64]:
        """Return (N,): the cheapest answer; of equals the most probable."""
        expected = self.expected(probabilities)
        is_cheapest = expected <= expected.min(axis=1, keepdims=True) * (1 + 1e-12)
        return np.asarray(np.where(is_cheapest, probabilities, -1.0).argmax(axis=1), dtype=np.int64)


def make_cost_rule(key: str, costs: object, *, class_names: Sequence[str]) -> CostRule:
    """Return the table of {true class: {answer: cost}}; a mistake that is not named costs 1, a right answer 0.

    key: what messages call it. Raises: ConfigError: a name that is no class, a cost that is no number of 0 or more.
    """
    table = 1.0 - np.eye(len(class_names))
    place = {name: i for i, name in enumerate(class_names)}
    rows = as_mapping(key, costs)
    check_classes(key, list(rows), class_names)
    for true, row in rows.items():
        answers = as_mapping(f"{key}.{true}", row)
        check_classes(f"{key}.{true}", list(answers), class_names)
        for answer, cost in answers.items():
            check_number(f"{key}.{true}.{answer}", cost, at_least=0)
            table[place[true], place[answer]] = cost
    return CostRule(tuple(tuple(map(float, row)) for row in table))
