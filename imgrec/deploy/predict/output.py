"""Write the table of a job: to standard output as it is computed, or to a file once it is complete."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from imgrec import __version__
from imgrec.core.system.progress_line import ProgressLine
from imgrec.deploy.predict.formats import CsvLines, JsonLines, Lines
from imgrec.deploy.predict.inputs import Inputs
from imgrec.deploy.predict.model import Model
from imgrec.deploy.predict.parquet_file import write_parquet
from imgrec.deploy.predict.partial import PartialTable
from imgrec.deploy.predict.pipeline import run_batches
from imgrec.deploy.predict.rows import Counts, Row, RowMaker
from imgrec.errors import StopRequestedError

__all__ = ["Job", "write_file", "write_stdout"]

FORMAT = 2  # 1: columns label, probability, label_1, ..., accepted:RULE, set:RULE
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True)
class Job:
    """Inputs, model and settings of a table; `threads` and `batch_size` as for `run_batches`."""

    inputs: Inputs
    model: Model
    maker: RowMaker
    threads: int
    batch_size: int

    def rows(self, *, skip: int) -> Generator[list[Row]]:
        """Yield the rows of each batch, without the first `skip` images."""
        items = islice(self.inputs.items(), skip, None)
        for outputs in run_batches(items, self.model, batch_size=self.batch_size, threads=self.threads):
            yield self.maker.rows(outputs)

    def key(self, kind: str) -> dict[str, Any]:
        """Return what the rows of a kind of table (a suffix) depend on, by the names used in messages."""
        columns = [column.name for column in self.maker.columns]
        return {
            "model": self.model.sha256,
            "images": self.inputs.digest() or f"once, {time.time_ns()}",
            "options": {"kind": kind, "columns": columns, "batch": self.batch_size, "top_k": self.maker.top_k},
            "version of imgrec": __version__,
        }

    def about(self) -> dict[str, Any]:
        """Return what a reader of logits needs, for the metadata of Parquet."""
        decisions = self.model.decisions
        return {
            "format": FORMAT,
            "model_sha256": self.model.sha256,
            "task": decisions.task,
            "class_names": list(decisions.class_names),
            "temperature": decisions.temperature,
        }


def write_stdout(job: Job, *, line: ProgressLine) -> Counts:
    """Write CSV, batch by batch, and return the counts."""
    lines = CsvLines(job.maker.columns, job.model.class_names)
    counts = Counts()
    sys.stdout.buffer.write(lines.header())

    def write(rows: list[Row]) -> None:
        sys.stdout.buffer.write(lines.lines(rows))
        sys.stdout.buffer.flush()

    # On a terminal the rows themselves show the progress.
    _run(job, counts, write, line=None if sys.stdout.isatty() else line)
    return counts


def write_file(job: Job, output: Path, *, restart: bool, line: ProgressLine) -> tuple[int, Counts]:
    """Write a table in the format of the suffix of `output`, resuming an interrupted run.

    Args:
        job: To compute.
        output: .csv, .jsonl or .parquet.
        restart: Discard the rows of an interrupted run.
        line: For the progress.

    Returns:
        The number of rows from an interrupted run, and the counts of all rows.

    Raises:
        DataError: The rows of an interrupted run cannot be resumed.
        RunFolderError: The file cannot be written.
    """
    kind = output.suffix.lower()
    with closing(PartialTable(output, key=job.key(kind), restart=restart)) as table:
        counts = Counts.from_dict(table.state) if table.state else Counts()
        before = counts.images
        lines: Lines = CsvLines(job.maker.columns, job.model.class_names) if kind == ".csv" else JsonLines()
        if not table.state:
            table.add(lines.header(), counts.to_dict())
        if before:
            sys.stderr.write(f"Resuming after {before:,} images.\n")
        try:
            _run(job, counts, lambda rows: table.add(lines.lines(rows), counts.to_dict()), line=line)
        finally:
            table.save()
        if kind == ".parquet":
            write_parquet(table.path, output, columns=job.maker.columns, about=job.about())
        else:
            table.publish()
        table.remove()
    return before, counts


def _run(job: Job, counts: Counts, write: Callable[[list[Row]], None], *, line: ProgressLine | None) -> None:
    """Compute the rows after the first `counts.images`. Raises: StopRequestedError: Ctrl-C, unless of a camera."""
    before, total = counts.images, job.inputs.expected
    try:
        with closing(job.rows(skip=before)) as batches:
            for rows in batches:
                counts.add(rows)
                write(rows)
                if line is not None:
                    line.update(counts.images, total and max(total, counts.images), before=before)
    except KeyboardInterrupt:
        if total is None:
            return
        raise StopRequestedError(
            f"Interrupted after {counts.images:,} of {total:,} images. With --output, the same command resumes.",
            exit_code=_INTERRUPTED,
        ) from None
    finally:
        if line is not None:
            line.close()
