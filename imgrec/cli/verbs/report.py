"""`imgrec report`: build the report of an evaluation or of a sweep again, from the files in its folder."""

import argparse
import sys
from pathlib import Path

from imgrec.cli.parser import Parser
from imgrec.errors import DataError

__all__ = ["main", "make_parser"]

_EPILOG = """\
FOLDER is a run, the folder evaluation in it, the run_dir of evaluate.py, or the folder of a sweep. The report is built
from the files in it, without the model and the images. Thumbnails are read from thumbnails.parquet; without it they
are made from the images at the paths in the table, or below --images.

examples:
  imgrec report outputs/mine
  imgrec report outputs/mine/evaluation --images /mnt/photos
  imgrec report outputs/sweeps/seeds
"""


def main() -> None:
    """Read the command line, and write report.html or sweep.html."""
    arguments = make_parser().parse_args(sys.argv[1:])
    folder = Path(arguments.folder)
    if (folder / "sweep.json").is_file():
        from imgrec.evaluation.report.sweep import write_sweep_report

        sys.stdout.write(f"Report: {write_sweep_report(folder)}\n")
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give that of a run, an evaluation or a sweep.")
    evaluation = folder / "evaluation"
    if not (folder / "metrics.json").exists() and not (folder / "predictions.parquet").exists() and evaluation.is_dir():
        folder = evaluation
    _report(folder, images=Path(arguments.images) if arguments.images else None)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec report",
        description="Build the report of an evaluation or a sweep again.",
        epilog=_EPILOG,
    )
    parser.add_argument("folder", metavar="FOLDER", help="of a run, an evaluation or a sweep")
    parser.add_argument("--images", metavar="ROOT", help="where the images are now, to make thumbnails again")
    return parser


def _report(folder: Path, *, images: Path | None) -> None:
    from imgrec.evaluation.report.evaluation_folder import read_thumbnails
    from imgrec.evaluation.report.report import write_report

    if images is not None and not images.is_dir():
        raise DataError(f"--images {images}: there is no such folder.")
    if images is not None or not read_thumbnails(folder):
        _make_thumbnails(folder, images)
    sys.stdout.write(f"Report: {write_report(folder)}\n")


def _make_thumbnails(folder: Path, images: Path | None) -> None:
    from imgrec.evaluation.figures.thumbnails import write_thumbnails_from
    from imgrec.evaluation.predictions.parquet import read_parquet

    try:
        predictions = read_parquet(folder / "predictions.parquet")
    except DataError:
        return  # the report notes it
    found, wanted = write_thumbnails_from(predictions, folder, root=images)
    where = f"below {images}" if images is not None else "at the paths in the table"
    if found < wanted:
        remedy = "" if images is not None else " If they have moved: --images ROOT."
        sys.stderr.write(f"imgrec: {found} of {wanted} images for the report were found {where}.{remedy}\n")
