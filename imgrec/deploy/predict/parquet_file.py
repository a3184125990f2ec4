"""Lines of JSON as one Parquet file, with a bounded number of rows in memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import durable_write
from imgrec.deploy.predict.rows import Column, Row
from imgrec.evaluation.predictions.predictions import visible

__all__ = ["write_parquet"]

_ROWS_A_GROUP = 20_000


def write_parquet(lines: Path, path: Path, *, columns: Sequence[Column], about: Mapping[str, Any]) -> None:
    """Write the rows of a file of JSON lines, whole or not at all. about: JSON for the metadata, key `imgrec`.

    Raises: RunFolderError: it cannot be written.
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
        "number": pa.float64(),
        "flag": pa.bool_(),
        "texts": pa.list_(pa.string()),
        "numbers": pa.list_(pa.float32()),
    }
    return pa.schema(
        [(visible(column.name), kinds[column.kind]) for column in columns], metadata={"imgrec": json.dumps(about)}
    )


def _rows(source: Any) -> Iterator[Row]:
    for line in source:
        yield {visible(name): _storable(value) for name, value in json.loads(line).items()}


def _storable(value: Any) -> Any:
    """Return a value that Parquet takes: text with bytes that are not UTF-8 is shown by escapes."""
    if isinstance(value, list):
        return [_storable(one) for one in value]
    is_odd = isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
    return visible(value) if is_odd else value
