"""`imgrec predict`: what a model says of pictures from anywhere, as a table."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from imgrec.checks import check_count, check_number
from imgrec.errors import ConfigError, DataError, StopRequestedError
from imgrec.progress_line import ProgressLine

if TYPE_CHECKING:
    from imgrec.prediction.inputs import Inputs
    from imgrec.prediction.model import Model
    from imgrec.prediction.rows import Counts, Row, RowMaker

__all__ = ["main", "make_parser"]

_SUFFIXES = (".csv", ".jsonl", ".parquet")
_BATCH = 16
_INTERRUPTED = 130
_EPILOG = """\
input: files, folders (all pictures below), patterns ("photos/**/*.jpg"), zip archives, videos, camera:0 (until Ctrl-C),
or - for one picture from standard input.

A picture that cannot be used is a row with a reason in `error`. An interrupted command, given again, goes on where it
was; the table appears under its name when it is complete. Columns: docs/predict.md.

exit code: 0 all answered or bad pictures told of, 1 bad pictures and --strict, 2 could not run, 130 interrupted.

examples:
  imgrec predict model.onnx photos/ --output predictions.csv
  imgrec predict best.ckpt photos.zip "more/*.jpg" --top-k 3 --output predictions.parquet
  imgrec predict model.onnx --list photos.csv --path-column file --output predictions.jsonl
  imgrec predict model.onnx film.mp4 --per-second 2
  cat photo.jpg | imgrec predict model.onnx -
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. imgrec predict --help lists what there is.")


def main() -> None:
    """Read the command line and predict. Raises: ImgrecError; SystemExit 1: bad pictures, and --strict."""
    given = make_parser().parse_intermixed_args(sys.argv[1:])
    _check(given)
    try:
        counts = _predict(given)
    except BrokenPipeError as error:
        from imgrec.cli.failure import report

        raise SystemExit(report(error)) from None
    if given.strict and counts.bad:
        raise SystemExit(1)


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = _Parser(
        prog="imgrec predict",
        description="Tell what a model says of pictures: a table with a row for each.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="model.onnx of imgrec export, or best.ckpt of a run")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="pictures, see below")
    add = parser.add_argument_group("pictures").add_argument
    add("--list", action="append", default=[], metavar="FILE", help=".txt, .csv, .jsonl, .parquet, or - : paths")
    add("--path-column", default="path", metavar="NAME", help="of a list that is a table (default: %(default)s)")
    add("--every", type=int, metavar="N", help="take every n-th frame of a video or camera")
    add("--per-second", type=float, metavar="N", help="take so many frames a second (default: 1)")
    add = parser.add_argument_group("table").add_argument
    add("--output", metavar="FILE", help=".csv, .jsonl or .parquet (default: CSV to standard output)")
    add("--top-k", type=int, default=0, metavar="K", help="name the K most probable classes, with probabilities")
    add("--logits", action="store_true", help="what the network said before it became probabilities; not in CSV")
    add("--overwrite", action="store_true", help="replace a table that is there")
    add("--restart", action="store_true", help="throw away what an interrupted command has left")
    add("--strict", action="store_true", help="exit code 1 when a picture could not be answered")
    add = parser.add_argument_group("speed").add_argument
    add("--batch", type=int, metavar="N", help=f"pictures run at once (default: {_BATCH})")
    add("--threads", type=int, metavar="N", help="that decode and compute (default: one a processor)")
    return parser


def _check(given: argparse.Namespace) -> None:
    if not given.inputs and not given.list:
        raise ConfigError("Which pictures? imgrec predict MODEL INPUT..., or --list FILE.")
    for name in ("every", "batch", "threads"):
        if getattr(given, name) is not None:
            check_count(f"--{name}", getattr(given, name), at_least=1)
    check_count("--top-k", given.top_k, at_least=0)
    if given.per_second is not None:
        check_number("--per-second", given.per_second, above=0, at_most=1000)
        if given.every is not None:
            raise ConfigError("--every or --per-second, not both.")
    if given.output is None:
        if given.restart or given.overwrite:
            raise ConfigError("--restart and --overwrite are for a table in a file: add --output FILE.")
    elif Path(given.output).suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"--output {given.output}: end its name in {', '.join(_SUFFIXES)}.")
    if given.logits and (given.output is None or Path(given.output).suffix.lower() == ".csv"):
        raise ConfigError("--logits are lists of numbers: give --output FILE.parquet or FILE.jsonl.")
    if given.output and Path(given.output).exists() and not given.overwrite:
        raise DataError(f"{given.output} exists. Give another name (--output FILE), or --overwrite.")


class _Job(NamedTuple):
    """All that a table is made of. threads, batch: see `answer_all`."""

    inputs: "Inputs"
    model: "Model"
    maker: "RowMaker"
    threads: int
    batch: int

    def rows(self, *, skip: int) -> "Iterator[list[Row]]":
        from imgrec.prediction.pipeline import answer_all

        items = islice(self.inputs.items(), skip, None)
        for answers in answer_all(items, self.model, batch_size=self.batch, threads=self.threads):
            yield self.maker.rows(answers)


def _predict(given: argparse.Namespace) -> "Counts":
    job = _prepare(given)
    for note in job.inputs.notes:
        sys.stderr.write(f"{note}\n")
    with closing(ProgressLine(sys.stderr)) as line:
        return _to_file(given, job, line) if given.output else _to_stdout(job, line)


def _prepare(given: argparse.Namespace) -> _Job:
    from imgrec.cli.predict_model import open_model
    from imgrec.prediction.frames import Pace
    from imgrec.prediction.inputs import read_inputs
    from imgrec.prediction.rows import RowMaker

    if given.output and Path(given.output).suffix.lower() == ".parquet":
        from imgrec.prediction.parquet_file import require_pyarrow

        require_pyarrow()
    pace = Pace(every=given.every, per_second=given.per_second or 1.0)
    model = open_model(given.model)
    inputs = read_inputs(given.inputs, lists=given.list, path_column=given.path_column, pace=pace)
    maker = RowMaker(model.decisions, top_k=given.top_k, with_logits=given.logits, with_time=inputs.has_time)
    threads = given.threads or len(os.sched_getaffinity(0))
    return _Job(inputs, model, maker, threads, given.batch or _batch(inputs.expected, threads))


def _batch(expected: int | None, threads: int) -> int:
    """Return how many pictures run at once: few of few, so that no thread is idle; one of a camera, which is live."""
    return 1 if expected is None else max(1, min(_BATCH, -(-expected // threads)))


def _to_stdout(job: _Job, line: ProgressLine) -> "Counts":
    from imgrec.prediction.formats import CsvLines
    from imgrec.prediction.rows import Counts

    lines = CsvLines(job.maker.columns, job.model.class_names)
    counts = Counts()
    sys.stdout.buffer.write(lines.header())

    def write(rows: "list[Row]") -> None:
        sys.stdout.buffer.write(lines.lines(rows))
        sys.stdout.buffer.flush()

    _run(job, counts, line, write)
    return counts


def _to_file(given: argparse.Namespace, job: _Job, line: ProgressLine) -> "Counts":
    from imgrec.prediction.formats import CsvLines, JsonLines, Lines
    from imgrec.prediction.parquet_file import write_parquet
    from imgrec.prediction.partial import PartialTable
    from imgrec.prediction.rows import Counts

    output = Path(given.output)
    kind = output.suffix.lower()
    digest = job.inputs.digest()
    key = {"model": job.model.sha256, "pictures": digest, "options": _options(given, job)}
    with closing(PartialTable(output, key=key, restart=given.restart or digest is None)) as table:
        counts = Counts.from_dict(table.state) if table.state else Counts()
        lines: Lines = CsvLines(job.maker.columns, job.model.class_names) if kind == ".csv" else JsonLines()
        if not table.state:
            table.add(lines.header(), counts.to_dict())

        def write(rows: "list[Row]") -> None:
            table.add(lines.lines(rows), counts.to_dict())

        try:
            _run(job, counts, line, write)
        finally:
            table.save()
        if kind == ".parquet":
            write_parquet(table.path, output, columns=job.maker.columns, about=_about(job))
        else:
            table.publish()
        table.remove()
    sys.stderr.write(f"{output}\n")
    return counts


def _options(given: argparse.Namespace, job: _Job) -> dict[str, Any]:
    """Return what the rows depend on besides model and pictures."""
    columns = [column.name for column in job.maker.columns]
    return {"kind": Path(given.output).suffix.lower(), "columns": columns, "batch": job.batch}


def _about(job: _Job) -> dict[str, Any]:
    decisions = job.model.decisions
    return {
        "format": 1,
        "model_sha256": job.model.sha256,
        "task": decisions.task,
        "class_names": list(decisions.class_names),
        "temperature": decisions.temperature,
    }


def _run(job: _Job, counts: "Counts", line: ProgressLine, write: "Callable[[list[Row]], None]") -> None:
    """Answer what `counts` does not hold yet, and tell how it went. Raises: StopRequestedError: Ctrl-C."""
    before, start = counts.pictures, time.monotonic()
    total = job.inputs.expected
    if before:
        sys.stderr.write(f"Going on after {before:,} pictures.\n")
    try:
        for rows in job.rows(skip=before):
            counts.add(rows)
            write(rows)
            line.update(counts.pictures, total and max(total, counts.pictures), before=before)
    except KeyboardInterrupt:
        if total is not None:
            line.close()
            raise StopRequestedError(_stopped(counts.pictures, total), exit_code=_INTERRUPTED) from None
    line.close()
    _summarize(counts, done=counts.pictures - before, seconds=time.monotonic() - start)


def _stopped(done: int, total: int) -> str:
    return f"Interrupted after {done:,} of {total:,} pictures. With --output the same command goes on from there."


def _summarize(counts: "Counts", *, done: int, seconds: float) -> None:
    bad = counts.bad.total()
    reasons = ", ".join(f"{code} {count:,}" for code, count in counts.bad.most_common())
    lines = [f"{counts.pictures:,} pictures, {done / max(seconds, 1e-9):,.1f}/s: {counts.pictures - bad:,} answered"]
    lines[0] += f", {bad:,} not ({reasons})." if bad else "."
    lines += [f"{count:,} are unknown by {rule}." for rule, count in sorted(counts.rejected.items())]
    sys.stderr.write("\n".join(lines) + "\n")
