"""`imgrec compare`: compare runs on the same images."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.errors import ConfigError

if TYPE_CHECKING:
    from imgrec.evaluation.compare.comparison import Comparison

__all__ = ["main", "make_parser"]

_EPILOG = """\
A RUN is a run folder, the folder of an evaluation, or a predictions.parquet. NAME=RUN gives it a name; several
trainings of one recipe are NAME=RUN,RUN,RUN or a pattern in quotes, NAME='outputs/sweep/*': then recipes are compared.

All must have been evaluated on the same images. Written: comparison.html, comparison.json, flips.csv.

examples:
  imgrec compare outputs/run_a outputs/run_b
  imgrec compare old=outputs/run_a new=outputs/run_b other=outputs/run_c --output comparison
  imgrec compare adam='outputs/adam/seed_*' sgd='outputs/sgd/seed_*'
"""


def main() -> None:
    """Read the command line, compare, write the files and print the verdicts."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    if arguments.seed < 0:
        raise ConfigError(f"--seed {arguments.seed}, but it must be 0 or more.")
    from imgrec.evaluation.compare.align import align
    from imgrec.evaluation.compare.engine import compare_runs
    from imgrec.evaluation.compare.runs import read_runs

    comparison = compare_runs(align(read_runs(arguments.runs)), seed=arguments.seed)
    output = Path(arguments.output)
    _write(comparison, output)
    _show(comparison, output)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec compare",
        description="Compare two or more runs on the same images: differences with intervals, tests, and a verdict.",
        epilog=_EPILOG,
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run folder, an evaluation, or a table; two or more")
    parser.add_argument("--output", metavar="PATH", default="comparison", help="folder to write (default: comparison)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the resampling")
    return parser


def _write(comparison: "Comparison", output: Path) -> None:
    from imgrec.core.files.atomic_write import write_bytes
    from imgrec.evaluation.compare.flips import to_csv
    from imgrec.evaluation.compare.page import to_html
    from imgrec.evaluation.compare.record import to_json

    flips = [(pair.a.run.name, pair.b.run.name, pair.flips) for pair in comparison.pairs]
    write_bytes(output / "flips.csv", to_csv(flips))
    write_bytes(output / "comparison.html", to_html(comparison))
    write_bytes(output / "comparison.json", to_json(comparison))  # last: where it exists, all files are complete


def _show(comparison: "Comparison", output: Path) -> None:
    from imgrec.evaluation.compare.console import print_comparison

    print_comparison(comparison)
    sys.stdout.write(f"Written: {output / 'comparison.html'}, comparison.json, flips.csv\n")
