"""The results of a sweep, best job first: on the console, as `sweep.csv` and `sweep.json`, and as a page.

Where folds or seeds vary, `folds.csv` or `seeds.csv` has the mean and interval of each setting.
"""

import csv
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_text
from imgrec.core.files.csv_cell import guarded
from imgrec.core.files.json_file import write_json
from imgrec.errors import JobError
from imgrec.evaluation.result import JobResult
from imgrec.training.sweep.fold_scores import summarise
from imgrec.training.sweep.fold_table import show_summaries, table_name, table_rows

__all__ = ["TABLE_NAME", "check_jobs", "ranked", "show", "write_table"]

TABLE_NAME = "sweep.csv"
JSON_NAME = "sweep.json"
PAGE_NAME = "sweep.html"
_SHOWN_METRICS = 4


def ranked(results: Sequence[JobResult]) -> list[JobResult]:
    """Return the jobs best first, then those without a value, then those that failed."""
    return sorted(results, key=_rank)


def _rank(result: JobResult) -> tuple[bool, bool, float, int]:
    value = result.score.value
    sign = 1.0 if result.score.mode == "min" else -1.0
    return result.status != "ok", value is None, sign * (value or 0.0), result.number


def write_table(results: Sequence[JobResult], path: Path) -> None:
    """Write the jobs to a CSV file, best first: a column for each override and for each metric.

    Beside it come the same as JSON, the page, and, where folds or seeds vary, a file with a row for each setting and
    metric.
    """
    keys = list(dict.fromkeys(key for result in results for key in result.overrides))
    names = list(dict.fromkeys(name for result in results for name in result.score.metrics))
    header = ["job", *keys, "status", "exit_code", "score", "monitor", *names, "seconds", "folder", "error"]
    _write_csv(path, header, [_row(result, keys=keys, names=names) for result in ranked(results)])
    if summaries := summarise(results):
        _write_csv(path.with_name(table_name(summaries)), *table_rows(summaries))
    _write_page(results, path.parent)


def _write_page(results: Sequence[JobResult], folder: Path) -> None:
    from imgrec.evaluation.report.sweep import write_sweep_report

    monitor = next((result.score.monitor for result in ranked(results) if result.score.monitor), "")
    content = {
        "format": 1,
        "monitor": monitor,
        "varied": _varied(results),
        "jobs": [_as_plain(result, folder) for result in ranked(results)],
    }
    write_json(folder / JSON_NAME, content)
    write_sweep_report(folder)


def _as_plain(result: JobResult, folder: Path) -> dict[str, Any]:
    """Return a job for sweep.json; its folder is relative to that of the sweep, so that both can be moved together."""
    metrics = {name: value for name, value in result.score.metrics.items() if math.isfinite(value)}
    return {
        "number": result.number,
        "folder": os.path.relpath(result.folder, folder),
        "overrides": result.overrides,
        "status": result.status,
        "exit_code": result.exit_code,
        "seconds": None if result.seconds is None else round(result.seconds, 3),
        "score": result.score.value,
        "mode": result.score.mode,
        "metrics": metrics,
        "error": result.error,
    }


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def _row(result: JobResult, *, keys: Sequence[str], names: Sequence[str]) -> list[Any]:
    score = result.score
    return [
        result.number,
        *(result.overrides.get(key) for key in keys),
        result.status,
        result.exit_code,
        score.value,
        score.monitor,
        *(score.metrics.get(name) for name in names),
        result.seconds,
        result.folder,
        result.error,
    ]


def _cell(value: Any) -> Any:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    return guarded(str(value))


def show(results: Sequence[JobResult]) -> None:
    """Print the jobs as a table, best first, with the overrides that vary, and the errors below it."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    keys = _varied(results)
    monitor = next((result.score.monitor for result in results if result.score.monitor), "score")
    metrics = [name for result in results for name in result.score.metrics if not name.startswith("num_")]
    names = list(dict.fromkeys([monitor, *metrics]))
    table = Table(title=f"Sweep of {len(results)} jobs, best first", box=SIMPLE)
    for heading in ["job", *keys, "status", *names[:_SHOWN_METRICS], "time"]:
        table.add_column(heading, overflow="fold")
    for result in ranked(results):
        numbers = {**result.score.metrics, monitor: result.score.value}
        cells = [str(result.number), *(result.overrides.get(key, "") for key in keys), result.status]
        cells += [_number_text(numbers.get(name)) for name in names[:_SHOWN_METRICS]]
        table.add_row(*(Text(cell) for cell in [*cells, _time(result.seconds)]))
    # A file or a pipe has no width.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    summaries = summarise(results)
    if summaries:
        show_summaries(summaries, names[:_SHOWN_METRICS], console=console)
    for result in ranked(results):
        if result.status != "ok":
            sys.stdout.write(f"job {result.number} {result.status}: {result.error} ({result.folder})\n")
    tables = [TABLE_NAME, *([table_name(summaries)] if summaries else [])]
    sys.stdout.write(f"Table: {', '.join(str(_sweep_folder(results) / name) for name in tables)}\n")
    sys.stdout.write(f"Report: {_sweep_folder(results) / PAGE_NAME}\n")


def _number_text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _sweep_folder(results: Sequence[JobResult]) -> Path:
    return results[0].folder.parent


def _varied(results: Sequence[JobResult]) -> list[str]:
    """Return the keys whose values vary between jobs."""
    keys = dict.fromkeys(key for result in results for key in result.overrides)
    return [key for key in keys if len({result.overrides.get(key) for result in results}) > 1]


def _time(seconds: float | None) -> str:
    return "before" if seconds is None else f"{seconds:.0f} s"


def check_jobs(results: Sequence[JobResult]) -> None:
    """Check that no job failed.

    Raises:
        JobError: Some did; the message has the command that runs only those again.
    """
    failed = [result for result in results if result.status == "failed"]
    if failed:
        numbers = ", ".join(str(result.number) for result in sorted(failed, key=lambda result: result.number))
        raise JobError(
            f"{len(failed)} of {len(results)} jobs failed: {numbers}. To run only these again, repeat the command with "
            f"hydra.sweep.dir={_sweep_folder(results)}"
        )
