"""Sweeps from Python: `imgrec train -m` in a process of its own, and its table."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from imgrec.core.config.checks import check_count
from imgrec.core.config.overrides import check_are_text, quote
from imgrec.core.files.json_file import read_json
from imgrec.errors import ConfigError, JobError
from imgrec.training.sweep.sweep_table import JSON_NAME, PAGE_NAME

__all__ = ["Sweep", "sweep"]


def sweep(*overrides: str, jobs: int = 1, folder: str | Path | None = None) -> "Sweep":
    """Train once for each combination of values; the same as `python train.py -m OVERRIDES`.

    Args:
        *overrides: As on the command line; several values separated by commas: `"optimizer.lr=0.1,0.01"`.
        jobs: How many run at a time.
        folder: Of the sweep. In a folder of the same sweep, only jobs without a result run.

    Returns:
        The sweep: `table`, best first, `report`, `folder`.

    Raises:
        ConfigError: An override that is not valid.
        JobError: Some jobs failed. The others are in the folder; the same call with this folder runs only those.
    """
    _check_overrides(overrides)
    check_count("jobs", jobs, at_least=1)
    place = Path(folder) if folder is not None else Path(f"outputs/sweeps/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    command = [sys.executable, "-c", "from imgrec.cli import main; main()", "train", "-m", *overrides]
    command += [f"hydra.launcher.jobs={jobs}", f"hydra.sweep.dir={quote(place)}"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        message = done.stderr.strip().rpartition("imgrec: error: ")[2] or f"the sweep ended with {done.returncode}"
        raise (JobError if (place / JSON_NAME).exists() else ConfigError)(message)
    return Sweep(place)


def _check_overrides(overrides: Sequence[str]) -> None:
    """Refuse a sweep of one job: nothing varies."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    check_are_text(overrides)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException:
        return  # the sweep explains it
    if not any(override.is_sweep_override() for override in parsed):
        raise ConfigError('No key has several values. A sweep varies one: "seed=1,2,3". For one run: imgrec.train.')


@dataclass(frozen=True)
class Sweep:
    """A finished sweep, read from its folder; shows itself in a notebook.

    Attributes:
        folder: With sweep.csv, sweep.json, sweep.html and a run folder for each job.
    """

    folder: Path

    @cached_property
    def table(self) -> list[dict[str, Any]]:
        """One row per job, best first: job, overrides, status, score, metrics, folder; `pandas.DataFrame(table)`."""
        content: Mapping[str, Any] = read_json(self.folder / JSON_NAME)
        return [
            {
                "job": job["number"],
                **job["overrides"],
                "status": job["status"],
                "score": job["score"],
                **job["metrics"],
                "folder": str(self.folder / job["folder"]),
            }
            for job in content["jobs"]
        ]

    @property
    def report(self) -> Path:
        """The page of the sweep."""
        return self.folder / PAGE_NAME

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for row in self.table for name in row))[:10]
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(str(row.get(name, str())))}</td>' for name in names)}</tr>"
            for row in self.table
        )
        return f"<table><tr>{head}</tr>{rows}</table><p>Report: <code>{escape(str(self.report))}</code></p>"
