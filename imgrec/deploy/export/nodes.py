"""`Nodes`, which builds ONNX operators and constants with generated names."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Nodes"]


class Nodes:
    """Operators and constants in the order of the calls, with names that begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Add an operator; return the name of its output, or a list of names with several outputs."""
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
        """Add a constant in float64, the type of sizes and coefficients; return its name."""
        return self.constant(value, np.float64)

    def _next(self, kind: str) -> str:
        return f"{self.prefix}{len(self.nodes) + len(self.constants)}_{kind}"
