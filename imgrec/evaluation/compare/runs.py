"""Run arguments of a comparison to predictions tables: one per run, or one per training of the run."""

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.errors import ConfigError, DataError
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["Run", "read_runs"]

TABLE = "predictions.parquet"
_NAMED = re.compile(r"(?P<name>[^=/\\]+)=(?P<paths>.+)", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """A recipe with the predictions of its trainings.

    Attributes:
        name: Shown name.
        tables: One per training.
        paths: Of the tables.
    """

    name: str
    tables: list[Predictions]
    paths: list[Path]


def read_runs(arguments: Sequence[str]) -> list[Run]:
    """Read `RUN`, `NAME=RUN` or `NAME=RUN,RUN,...` (several trainings); each RUN may be a pattern such as `seed_*`.

    A RUN is a run folder, the folder of an evaluation, or a table. Existing paths are taken literally: a folder of a
    sweep may be called `optimizer.lr=0.1,seed=2`.

    Raises:
        ConfigError: Fewer than two runs, or one named twice.
        DataError: No table there, or one that cannot be read.
    """
    if len(arguments) < 2:
        raise ConfigError(
            "Give two runs or more: imgrec compare RUN_A RUN_B. A run is a folder or a predictions.parquet."
        )
    named = [_split(argument) for argument in arguments]
    names = _distinct([name for name, _ in named], [paths for _, paths in named])
    return [
        Run(name, [read_parquet(path) for path in paths], paths) for name, (_, paths) in zip(names, named, strict=True)
    ]


def _split(argument: str) -> tuple[str | None, list[Path]]:
    """Return the name, where one is given, and the tables."""
    match = None if Path(argument).exists() else _NAMED.fullmatch(argument)
    text = match["paths"] if match else argument
    places = [Path(text)] if Path(text).exists() else [place for part in text.split(",") for place in _expand(part)]
    tables = [_find_table(place) for place in places]
    doubled = [path for path, count in Counter(os.path.realpath(path) for path in tables).items() if count > 1]
    if doubled:
        raise ConfigError(f"{argument} names the table {doubled[0]} twice.")
    return (match["name"] if match else None), tables


def _expand(text: str) -> list[Path]:
    if Path(text).exists():
        return [Path(text)]
    found = [Path(path) for path in sorted(glob.glob(text))]  # noqa: PTH207 (the pattern may be absolute)
    if not found:
        raise DataError(f"{text}: no such folder or table.")
    return found


def _find_table(place: Path) -> Path:
    if place.is_file():
        return place
    for path in (place / TABLE, place / "evaluation" / TABLE):
        if path.is_file():
            return path
    raise DataError(f"No {TABLE} in {place} or {place / 'evaluation'}. Give a run folder or an evaluation.")


def _distinct(names: Sequence[str | None], paths: Sequence[Sequence[Path]]) -> list[str]:
    """Return a name for each run: the one given, or the shortest unique end of its path."""
    given = [name for name in names if name is not None]
    doubled = [name for name, count in Counter(given).items() if count > 1]
    if doubled:
        raise ConfigError(f"Two runs are called {doubled[0]}. Give each another name: NAME=RUN.")
    parts = [_place(of_run[0]).parts for of_run in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        found = [name or "/".join(own[-depth:]) for name, own in zip(names, parts, strict=True)]
        if len(set(found)) == len(found):
            return found
    raise ConfigError(f"{paths[0][0]} is named twice. Compare two different runs, or give each a name: NAME=RUN.")


def _place(path: Path) -> Path:
    """Return the path that names a table: its run folder, or itself without the suffix."""
    if path.name != TABLE:
        return path.absolute().with_suffix("")
    folder = path.absolute().parent
    return folder.parent if folder.name == "evaluation" else folder
