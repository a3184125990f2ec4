"""A few lines that make writing ONNX operators read like arithmetic."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Nodes"]


class Nodes:
    """Operators and constants under names that begin with `prefix`, in the order in which they were asked for."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Add an operator; return the name of its result, or a list of names where there are several."""
        from onnx import helper

        first = name or self._next(operator)
        names = [first, *(f"{first}_{place}" for place in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return first if outputs == 1 else names

    def constant(self, value: ArrayLike, dtype: Any) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        name = self._next("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def number(self, value: ArrayLike) -> str:
        """Add a constant in float64, in which sizes and coefficients are worked out; return its name."""
        return self.constant(value, np.float64)

    def _next(self, kind: str) -> str:
        return f"{self.prefix}{len(self.nodes) + len(self.constants)}_{kind}"
