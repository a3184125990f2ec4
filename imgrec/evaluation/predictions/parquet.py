"""predictions.parquet: one row per image, readable by any tool; logits and labels come back exactly.

Columns: path, label, prediction, confidence, logits, probabilities, group; any `meta:NAME` and `image:NAME`; and
path_exact if a name is not valid Unicode. For several labels per image, label, prediction and
confidence are lists. Class names, task, format version, provenance and temperature are JSON in the schema metadata
under the key `imgrec`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files import arrow_table as arrow
from imgrec.core.files.atomic_write import durable_write
from imgrec.core.text import printable
from imgrec.errors import DataError, did_you_mean
from imgrec.evaluation.predictions.columns import FORMAT, as_utf8, to_table
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["FORMAT", "read_parquet", "to_table", "write_parquet"]

COLUMNS = ("path", "label", "prediction", "confidence", "logits", "probabilities", "group")
MORE_COLUMNS = ("meta:", "image:")  # prefixes of the names in `Predictions.columns`
REMEDY = "Run evaluate again."
_MAGIC = b"PAR1"  # how a Parquet file begins
_DESCRIPTION = ("task", "class_names", "provenance", "temperature")


def write_parquet(predictions: Predictions, path: Path) -> None:
    """Write the table atomically.

    Raises:
        RunFolderError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    table = to_table(predictions)
    # Numbers rarely repeat: a dictionary of them would only add to the size.
    texts = [as_utf8(name) for name, column in predictions.columns.items() if not isinstance(column, np.ndarray)]
    repeating = ["label", "prediction", "group", *texts]
    with durable_write(path) as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=repeating)


def read_parquet(path: Path) -> Predictions:
    """Read a table that `write_parquet` wrote; names, labels and logits are exactly what they were.

    Raises:
        DataError: No such file, not Parquet, not from imgrec, another format version, or damaged contents.
    """
    table = _open_table(path)
    try:
        return _from_table(table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _open_table(path: Path) -> Any:
    """Return the pyarrow table of our own columns and format version. Raises: DataError."""
    import pyarrow as pa

    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise DataError(_not_a_table(path))
            return arrow.read_parquet(file)
    except (OSError, pa.ArrowException) as error:
        reason = printable(getattr(error, "strerror", None) or str(error).splitlines()[0])
        raise DataError(f"{printable(str(path))} cannot be read as a Parquet file: {reason}") from error


def _not_a_table(path: Path) -> str:
    shown = printable(str(path))
    if path.suffix == ".ckpt":
        return f"{shown} is a checkpoint. Evaluate it first: python evaluate.py checkpoint={shown}"
    return f"{shown} is not a Parquet file. Give the predictions.parquet of an evaluation, or its folder."


def _from_table(table: Any) -> Predictions:
    about = _read_description(table)
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise DataError(f"the table has no column {' and no column '.join(missing)}. {REMEDY}")
    width = len(about["class_names"])
    predictions = Predictions(
        names=_read_names(table),
        labels=_read_labels(table, about["class_names"], task=about["task"]),
        logits=_read_matrix(table, "logits", dtype="float", width=width),
        class_names=about["class_names"],
        task=about["task"],
        groups=None if table["group"].null_count == len(table) else _read_strings(table["group"], "group"),
        provenance=about["provenance"],
        temperature=float(about["temperature"]),
        columns=_read_columns(table),
    )
    _check_probabilities(predictions, _read_matrix(table, "probabilities", dtype="double", width=width))
    return predictions


def _read_description(table: Any) -> dict[str, Any]:
    """Return the metadata: `_DESCRIPTION` and the format. DataError if not ours, damaged, or of another version."""
    text = (table.schema.metadata or {}).get(b"imgrec")
    if text is None:
        raise DataError("not a predictions table of imgrec (its schema has no metadata `imgrec`).")
    try:
        about = json.loads(text)
        version = about["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the metadata `imgrec` of the table is damaged ({error!r}). {REMEDY}") from error
    if version != FORMAT:
        raise DataError(f"the table has format {version}, this imgrec reads format {FORMAT}. {REMEDY}")
    missing = [key for key in _DESCRIPTION if key not in about]
    if missing:
        raise DataError(f"the metadata `imgrec` of the table is damaged (no {', '.join(missing)}). {REMEDY}")
    task, class_names, provenance, temperature = (about[key] for key in _DESCRIPTION)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise DataError(f"the metadata `imgrec` of the table is damaged (temperature {temperature!r}). {REMEDY}")
    is_named = isinstance(class_names, list) and all(isinstance(name, str) for name in class_names)
    if not is_named or task not in ("single", "multilabel") or not isinstance(provenance, dict):
        raise DataError(f"the metadata `imgrec` of the table is damaged (task {task!r}). {REMEDY}")
    return dict(about)


def _read_strings(column: Any, name: str) -> list[str]:
    import pyarrow as pa

    if column.type != pa.string() or column.null_count:
        raise DataError(f"column {name} holds {column.type} with {column.null_count} nulls, not strings. {REMEDY}")
    return list(column.to_pylist())


def _read_columns(table: Any) -> dict[str, NDArray[np.float64] | list[str]]:
    """Return the `meta:` and `image:` columns. DataError if one has another type."""
    import pyarrow as pa

    columns: dict[str, NDArray[np.float64] | list[str]] = {}
    for name in table.column_names:
        if not name.startswith(MORE_COLUMNS):
            continue
        column = table[name]
        if column.type == pa.float64():
            columns[name] = arrow.to_numpy(column.combine_chunks())  # null becomes NaN
        elif column.type == pa.string():
            columns[name] = [text or "" for text in column.to_pylist()]
        else:
            raise DataError(f"column {printable(name)} holds {column.type}, not numbers (double) or strings. {REMEDY}")
    return columns


def _read_names(table: Any) -> list[str]:
    import pyarrow as pa

    names = _read_strings(table["path"], "path")
    if "path_exact" not in table.column_names:
        return names
    exact = table["path_exact"]
    if exact.type != pa.binary():
        raise DataError(f"column path_exact holds {exact.type}, not binary. {REMEDY}")
    pairs = zip(names, exact.to_pylist(), strict=True)
    return [name if raw is None else raw.decode("utf-8", "surrogatepass") for name, raw in pairs]


def _read_labels(table: Any, class_names: Sequence[str], *, task: str) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return labels as int64 (N,), several per image as uint8 (N, C). DataError for an unknown class."""
    import pyarrow as pa

    column = table["label"]
    expected = pa.string() if task == "single" else pa.list_(pa.string())
    if column.type != expected or column.null_count:
        raise DataError(f"column label holds {column.type} with {column.null_count} nulls, not {expected}. {REMEDY}")
    rows = column.to_pylist()
    shown = [as_utf8(name) for name in class_names]
    places = {name: index for index, name in enumerate(shown)}
    try:
        if task == "single":
            return np.array([places[name] for name in rows], dtype=np.int64)
        labels = np.zeros((len(rows), len(shown)), dtype=np.uint8)
        for row, names in zip(labels, rows, strict=True):
            row[[places[name] for name in names]] = 1
        return labels
    except KeyError as error:
        unknown = str(error.args[0])
        near = did_you_mean(unknown, shown)
        message = f"label {printable(unknown)!r} is not one of the table's {len(shown)} classes.{near}"
        raise DataError(message) from None


def _read_matrix(table: Any, name: str, *, dtype: str, width: int) -> NDArray[Any]:
    """Return a column of lists as an array (N, width). DataError for another type or width, or nulls."""
    import pyarrow as pa

    column = table[name].combine_chunks()
    is_lists = pa.types.is_fixed_size_list(column.type)
    if not is_lists or column.type.list_size != width or str(column.type.value_type) != dtype:
        raise DataError(f"column {name} holds {column.type}, not {width} numbers ({dtype}) a row. {REMEDY}")
    numbers = column.values.slice(column.offset * width, len(column) * width)
    if column.null_count or numbers.null_count:
        raise DataError(f"column {name} has nulls. {REMEDY}")
    return arrow.to_numpy(numbers).reshape(-1, width)


def _check_probabilities(predictions: Predictions, stored: NDArray[np.float64]) -> None:
    """Check that the stored probabilities follow from the logits. DataError if the table was changed."""
    is_near = np.isclose(stored, predictions.probabilities, rtol=0.0, atol=1e-6).all(axis=1)
    if not is_near.all():
        name = printable(predictions.names[int(np.argmin(is_near))])
        raise DataError(f"the probabilities of {(~is_near).sum()} rows do not follow from their logits, first {name}.")
