"""The answer that costs least: what each mistake costs is the user's to say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.decisions.probabilities import FloatArray

__all__ = ["CostRule"]


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
        """Return (N,): the cheapest answer; of equals the more probable."""
        expected = self.expected(probabilities)
        is_cheapest = expected <= expected.min(axis=1, keepdims=True) * (1 + 1e-12)
        return np.asarray(np.where(is_cheapest, probabilities, -1.0).argmax(axis=1), dtype=np.int64)
