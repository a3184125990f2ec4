"""Apply an edited plan.csv: write the cleaned table of a data set."""

from collections.abc import Sequence
from pathlib import Path

from imgrec.auditing.audit import relative_paths, target_and_overrides
from imgrec.auditing.output.clean_table import JSON_LINES, CleanTable, clean_table
from imgrec.auditing.output.folder import base_of
from imgrec.auditing.output.plan_file import read_plan
from imgrec.core.files.atomic_write import write_bytes
from imgrec.data.sources.targets import read_target
from imgrec.errors import ConfigError, DataError

__all__ = ["apply_plan"]


def apply_plan(
    plan: str | Path, data: Sequence[str | Path], *, output: str | Path | None, overwrite: bool = False
) -> CleanTable:
    """Write the table that a plan makes of the data. No image and no other file is touched.

    Args:
        plan: An edited plan.csv.
        data: What the plan was made for: a folder or a table, and overrides, as for `imgrec.audit`.
        output: The table: CSV or JSON lines.
        overwrite: Replace `output` where it exists.

    Raises:
        ConfigError: No `output`, or another kind of file.
        DataError: `output` exists; a line of the plan that cannot be applied; data that no table can hold.
    """
    target, overrides = target_and_overrides(data)
    path = _table_path(output, overwrite=overwrite)
    read = read_target(target, overrides)
    names = [name for samples in read.parts.values() for name in samples.names]
    decisions = read_plan(
        Path(plan),
        paths=relative_paths(names, base_of(target, overrides)),
        class_names=read.class_names,
        splits=list(read.parts),
    )
    table = clean_table(read.parts, class_names=read.class_names, task=read.task, decisions=decisions, output=path)
    write_bytes(path, table.content)
    return table


def _table_path(output: str | Path | None, *, overwrite: bool) -> Path:
    if output is None:
        raise ConfigError("--apply writes a new table; name it: --output clean.csv")
    path = Path(output)
    if path.suffix.lower() not in (".csv", *JSON_LINES):
        raise ConfigError(f"--output {output}: the table is CSV or JSON lines; end its name in .csv or .jsonl.")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists. Give another name, or --overwrite.")
    return path
