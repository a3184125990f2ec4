"""`imgrec predict`: predictions of a model for images, as a table."""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.core.config.checks import check_count, check_number
from imgrec.core.system.progress_line import ProgressLine
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from imgrec.deploy.predict.output import Job
    from imgrec.deploy.predict.rows import Counts

__all__ = ["main", "make_parser"]

_SUFFIXES = (".csv", ".jsonl", ".parquet")
_BATCH = 16
_EPILOG = """\
input: files, folders (all images below), patterns ("photos/**/*.jpg"), zip archives, videos, camera:0 (until Ctrl-C),
or - for one image from standard input.

An image that cannot be used gives a row with a code in `error`. An interrupted command resumes when it is repeated; the
table appears under its name when it is complete. Columns: docs/predict.md.

exit code: 0 done, 1 bad images with --strict, 2 could not run, 130 interrupted.

examples:
  imgrec predict model.onnx photos/ --output predictions.csv
  imgrec predict best.ckpt photos.zip "more/*.jpg" --top-k 3 --output predictions.parquet
  imgrec predict model.onnx --list photos.csv --path-column file --output predictions.jsonl
  imgrec predict model.onnx film.mp4 --per-second 2
  cat photo.jpg | imgrec predict model.onnx -
"""


def main() -> None:
    """Run the verb on `sys.argv`.

    Raises:
        ImgrecError: Could not run.
        SystemExit: Code 1 for bad images with --strict.
    """
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
    """Return the parser of the verb; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec predict",
        description="Predict images with a model: a table with a row per image.",
        epilog=_EPILOG,
    )
    what = "model.onnx, best.ckpt, a run folder or another file of imgrec export; then images, see below"
    parser.add_argument("arguments", nargs="*", metavar="MODEL INPUT", help=what)
    add = parser.add_argument_group("images").add_argument
    add("--list", action="append", default=[], metavar="FILE", help=".txt, .csv, .jsonl, .parquet, or - : paths")
    add("--path-column", default="path", metavar="NAME", help="of lists that are tables (default: %(default)s)")
    add("--every", type=int, metavar="N", help="take every N-th frame of a video or camera")
    add("--per-second", type=float, metavar="N", help="take N frames per second (default: 1)")
    add = parser.add_argument_group("table").add_argument
    add("--output", metavar="FILE", help=".csv, .jsonl or .parquet (default: CSV to standard output)")
    add("--top-k", type=int, default=5, metavar="K", help="classes in `probabilities`, most probable first (5)")
    add("--logits", action="store_true", help="add the logits; not in CSV")
    add("--overwrite", action="store_true", help="replace an existing table")
    add("--restart", action="store_true", help="discard the rows of an interrupted command")
    add("--strict", action="store_true", help="exit code 1 if any image could not be predicted")
    add = parser.add_argument_group("speed").add_argument
    add("--batch", type=int, metavar="N", help=f"images run at once (default: {_BATCH})")
    add("--threads", type=int, metavar="N", help="that decode and compute (default: one per processor)")
    return parser


def _check(given: argparse.Namespace) -> None:
    if not given.arguments:
        raise ConfigError("Which model? imgrec predict MODEL INPUT...")
    if not given.arguments[1:] and not given.list:
        raise ConfigError("Which images? imgrec predict MODEL INPUT..., or --list FILE.")
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
        raise ConfigError("--logits needs a format with lists: --output FILE.parquet or FILE.jsonl.")
    if given.output and (path := Path(given.output)).exists():
        if not path.is_file():
            raise DataError(f"{path} exists and is not a file. Give another name: --output FILE.")
        if not given.overwrite:
            raise DataError(f"{path} exists. Give another name (--output FILE), or --overwrite.")


def _predict(given: argparse.Namespace) -> "Counts":
    from imgrec.deploy.predict.output import write_file, write_stdout

    job = _prepare(given)
    for note in job.inputs.notes:
        sys.stderr.write(f"{note}\n")
    start = time.monotonic()
    with closing(ProgressLine(sys.stderr)) as line:
        if given.output:
            before, counts = write_file(job, Path(given.output), restart=given.restart, line=line)
        else:
            before, counts = 0, write_stdout(job, line=line)
    _summarize(counts, rate=(counts.images - before) / (time.monotonic() - start))
    return counts


def _prepare(given: argparse.Namespace) -> "Job":
    from imgrec.core.system.hardware import num_processors
    from imgrec.deploy.predict.frames import Pace
    from imgrec.deploy.predict.inputs import read_inputs
    from imgrec.deploy.predict.open_model import find_model, open_model
    from imgrec.deploy.predict.output import Job
    from imgrec.deploy.predict.rows import RowMaker

    pace = Pace(every=given.every, per_second=given.per_second or 1.0)
    model = open_model(find_model(Path(given.arguments[0])))
    inputs = read_inputs(given.arguments[1:], lists=given.list, path_column=given.path_column, pace=pace)
    maker = RowMaker(model.decisions, top_k=given.top_k, with_logits=given.logits, with_time=inputs.has_time)
    threads = given.threads or num_processors()
    return Job(inputs, model, maker, threads, given.batch or _batch(inputs.expected, threads))


def _batch(expected: int | None, threads: int) -> int:
    """Return the batch size: smaller with few images, so that no thread is idle; 1 with a camera, which is live."""
    return 1 if expected is None else max(1, min(_BATCH, -(-expected // threads)))


def _summarize(counts: "Counts", *, rate: float) -> None:
    bad = counts.bad.total()
    reasons = ", ".join(f"{code} {count:,}" for code, count in counts.bad.most_common())
    plural = "" if counts.images == 1 else "s"
    lines = [f"{counts.images:,} image{plural}, {rate:,.1f}/s: {counts.images - bad:,} predicted"]
    lines[0] += f", {bad:,} failed ({reasons})." if bad else "."
    lines += [f"{count:,} rejected by {rule}." for rule, count in sorted(counts.rejected.items())]
    sys.stderr.write("\n".join(lines) + "\n")
