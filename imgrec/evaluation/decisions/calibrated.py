"""Calibration of a predictions table before and after its temperature."""

from typing import Any

from imgrec.evaluation.decisions.calibration import measure_calibration
from imgrec.evaluation.decisions.probabilities import to_probabilities
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["measure_both"]


def measure_both(predictions: Predictions) -> dict[str, Any]:
    """Return task, temperature, and `before` and `after` as `measure_calibration` gives them."""
    before, after = (
        measure_calibration(
            to_probabilities(predictions.logits, task=predictions.task, temperature=temperature),
            predictions.labels,
            task=predictions.task,
        )
        for temperature in (1.0, predictions.temperature)
    )
    return {"task": predictions.task, "temperature": predictions.temperature, "before": before, "after": after}
