"""Convert lines of JSON to one Parquet file, with a bounded number of rows in memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import durable_write
from imgrec.core.text import printable
from imgrec.deploy.predict.rows import Column, Row

__all__ = ["write_parquet"]

_ROWS_A_GROUP = 20_000


def write_parquet(lines: Path, path: Path, *, columns: Sequence[Column], about: Mapping[str, Any]) -> None:
    """Write the rows of a file of JSON lines; the file appears under its name when it is complete.

    Args:
        lines: As `JsonLines` gives them.
        path: To write.
        columns: Of the rows.
        about: Goes into the schema metadata as JSON, under the key `imgrec`.

    Raises:
        RunFolderError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(columns, about)
    with (
        lines.open("rb") as source,
        durable_write(path) as target,
        pq.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        while group := list(islice(_rows(source), _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _schema(columns: Sequence[Column], about: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    kinds = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "texts": pa.list_(pa.string()),
        "numbers": pa.list_(pa.float32()),
        "probabilities": pa.map_(pa.string(), pa.float64()),
    }
    fields = [
        (column.name, pa.struct([(printable(rule), kinds[column.kind]) for rule in column.rules]))
        if column.rules
        else (column.name, kinds[column.kind])
        for column in columns
    ]
    return pa.schema(fields, metadata={"imgrec": json.dumps(about)})


def _rows(source: Any) -> Iterator[Row]:
    for line in source:
        yield _storable(json.loads(line))


def _storable(value: Any) -> Any:
    """Return a value that Parquet takes: bytes that are not UTF-8 are escaped, and so is all of a key."""
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {printable(name): _storable(one) for name, one in value.items()}
    is_odd = isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
    return printable(value) if is_odd else value
