"""The columns of predictions.parquet, as a pyarrow table, made from `Predictions` (which imports this module)."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files import arrow_table as arrow
from imgrec.core.text import printable

__all__ = ["FORMAT", "as_utf8", "to_table"]

FORMAT = 2


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_utf8(text: str) -> str:
    """Return text that can be stored: escaped where it is not valid Unicode."""
    return text if _is_utf8(text) else printable(text)


def to_table(predictions: Any) -> Any:
    """Return the pyarrow table of the file."""
    import pyarrow as pa

    names, num_classes = predictions.names, len(predictions.class_names)
    groups = [None] * len(names) if predictions.groups is None else [as_utf8(group) for group in predictions.groups]
    columns = {
        "path": arrow.texts([as_utf8(name) for name in names]),
        "label": _name_labels(predictions.labels, predictions.class_names),
        "prediction": _name_labels(predictions.predicted, predictions.class_names),
        "confidence": _confidence(predictions),
        "logits": pa.FixedSizeListArray.from_arrays(arrow.numbers(predictions.logits.ravel()), num_classes),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            arrow.numbers(predictions.probabilities.ravel()), num_classes
        ),
        "group": arrow.texts(groups),
        **{as_utf8(name): _to_column(column) for name, column in predictions.columns.items()},
    }
    if not all(map(_is_utf8, names)):
        exact = [None if _is_utf8(name) else name.encode("utf-8", "surrogatepass") for name in names]
        columns["path_exact"] = arrow.contents(exact)
    return arrow.table(columns).replace_schema_metadata({"imgrec": json.dumps(_describe(predictions))})


def _to_column(column: NDArray[np.float64] | Sequence[str]) -> Any:
    """Return numbers or strings as a column, with null for missing values."""
    if isinstance(column, np.ndarray):
        return arrow.numbers(column.astype(np.float64), nan_is_null=True)
    return arrow.texts([as_utf8(text) or None for text in column])


def _describe(predictions: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "task": predictions.task,
        "class_names": list(predictions.class_names),
        "provenance": dict(predictions.provenance),
        "temperature": predictions.temperature,
    }


def _name_labels(labels: NDArray[np.int64] | NDArray[np.uint8], class_names: Sequence[str]) -> Any:
    """Return the labels as names: strings, or lists of strings for labels (N, C)."""
    shown = [as_utf8(name) for name in class_names]
    if labels.ndim == 1:
        return arrow.texts([shown[label] for label in labels.tolist()])
    rows, chosen = np.nonzero(labels)
    return arrow.lists(
        np.bincount(rows, minlength=len(labels)), arrow.texts([shown[index] for index in chosen.tolist()])
    )


def _confidence(predictions: Any) -> Any:
    """Return the probability of each predicted class: one per image, or a list that goes with `prediction`."""
    if predictions.task == "single":
        return arrow.numbers(predictions.probabilities.max(axis=1))
    is_chosen = predictions.predicted == 1
    return arrow.lists(is_chosen.sum(axis=1), arrow.numbers(predictions.probabilities[is_chosen]))
