"""How much of what the network said a caller sees: the less, the harder it is to copy the network by asking it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions import Decided, Decisions
from imgrec.serve.access.keys import Output

__all__ = ["OUTPUTS", "describe", "narrower"]

OUTPUTS: tuple[Output, ...] = ("label", "topk", "rounded", "full")  # from the least to the most
TOP = 5
_DIGITS = 2


def narrower(allowed: Output, asked: str | None) -> Output:
    """Return what a caller gets who asks for one kind of answer and is allowed another: the smaller. None: allowed."""
    wanted = next((output for output in OUTPUTS if output == asked), allowed)
    return min(allowed, wanted, key=OUTPUTS.index)


def describe(
    logits: NDArray[np.floating], decisions: Decisions, *, output: Output, reject: str | None
) -> list[dict[str, Any]]:
    """Return one plain answer for each row of logits (N, C).

    label: the label, or the labels, and whether the model would rather not say (`is_unknown`; `reject` names the rule).
    topk: and the names of the most probable classes, at most 5, the best first, and the conformal sets.
    rounded: and their probabilities, to 2 digits, and the verdict of every reject rule.
    full: all classes, every digit, and what every rule makes of them.
    """
    decided = decisions.decide(logits)
    return [_describe_one(decided, row, output, reject) for row in range(len(decided))]


def _describe_one(decided: Decided, row: int, output: Output, reject: str | None) -> dict[str, Any]:
    everything = decided.describe(row)
    answer: dict[str, Any] = {
        "label": everything["label"],
        "is_unknown": reject is not None and not everything["accepted"][reject],
    }
    if output == "label":
        return answer
    probabilities = decided.probabilities[row]
    order = np.argsort(-probabilities, kind="stable")
    names = [decided.class_names[i] for i in order]
    answer["sets"] = everything["sets"]
    if output == "topk":
        answer["classes"] = names[:TOP]
        return answer
    answer["accepted"] = everything["accepted"]
    if output == "rounded":
        values = [round(float(probabilities[i]), _DIGITS) for i in order]
        answer["classes"] = _pairs(names[:TOP], values[:TOP])
        return answer
    answer["classes"] = _pairs(names, [float(probabilities[i]) for i in order])
    return {**everything, **answer}


def _pairs(names: Sequence[str], values: Sequence[float]) -> list[dict[str, Any]]:
    return [{"label": name, "probability": value} for name, value in zip(names, values, strict=True)]
