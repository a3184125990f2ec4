"""How much of a prediction a caller sees: the less, the harder it is to copy the model through its responses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.prediction import Prediction
from imgrec.serve.access.keys import Output

__all__ = ["OUTPUTS", "describe", "narrower"]

OUTPUTS: tuple[Output, ...] = ("label", "topk", "rounded", "full")  # from the least to the most
TOP = 5
_DIGITS = 2


def narrower(allowed: Output, asked: str | None) -> Output:
    """Return the lesser of the output that a caller is allowed and the one it asks for; None: what is allowed."""
    wanted = next((output for output in OUTPUTS if output == asked), allowed)
    return min(allowed, wanted, key=OUTPUTS.index)


def describe(
    logits: NDArray[np.floating], decisions: Decisions, *, output: Output, reject: str | None
) -> list[dict[str, Any]]:
    """Return the prediction for each row of logits as plain data, with the keys of `Prediction`.

    Args:
        logits: (N, C).
        decisions: What turns logits into predictions.
        output: `label`: `prediction` and what the reject rule decides. `topk`: also `top_classes`, the names of the 5
            most probable classes, most probable first, and `prediction_sets`. `rounded`: also `confidence` and
            `probabilities` of these classes to 2 digits, and all of `rejected`. `full`: every class, digit and rule.
        reject: Name of the reject rule that callers see with every output; None for none.
    """
    decided = decisions.decide(logits)
    return [_shown(decided.prediction(row), output, reject) for row in range(len(decided))]


def _shown(prediction: Prediction, output: Output, reject: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"prediction": prediction.prediction}
    if reject is not None:
        shown["rejected"] = {reject: prediction.rejected[reject]}
    if output == "label":
        return shown
    number = len(prediction.probabilities) if output == "full" else TOP
    top = dict(prediction.top(number))
    shown |= {"top_classes": list(top), "prediction_sets": dict(prediction.prediction_sets)}
    if output == "topk":
        return shown
    assert prediction.confidence is not None
    shown |= {
        "confidence": round(prediction.confidence, _DIGITS),
        "probabilities": {name: round(value, _DIGITS) for name, value in top.items()},
        "rejected": dict(prediction.rejected),
    }
    if output == "full":
        shown |= {key: value for key, value in prediction.to_dict().items() if key != "path"}
    return shown
