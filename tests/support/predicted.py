"""A predictions table from logits alone."""

import numpy as np

from imgrec.evaluation.predictions.predictions import Predictions


def make_predictions(logits, labels=None, **changes):
    """Return a table: names `0.png`, `1.png`, ...; classes `class 0`, ...; labels all 0 unless given."""
    logits = np.asarray(logits, dtype=np.float32)
    columns = {
        "names": [f"{i}.png" for i in range(len(logits))],
        "labels": np.zeros(len(logits), dtype=np.int64) if labels is None else labels,
        "logits": logits,
        "class_names": [f"class {i}" for i in range(logits.shape[1])],
    }
    return Predictions(**{**columns, **changes})
