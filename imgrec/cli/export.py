"""`imgrec export`: a checkpoint as one file that runs without PyTorch, checked against the checkpoint."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from imgrec.checks import check_count
from imgrec.cli.progress_line import ProgressLine
from imgrec.cli.targets import is_word
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from imgrec.bundle import BundleInfo
    from imgrec.cli.checkpoint_data import FromCheckpoint
    from imgrec.export.answers import Pictures

__all__ = ["main", "make_parser"]

_EPILOG = """\
exit code: 0 written, 1 the gate failed and nothing was written, 2 could not run.

examples:
  imgrec export best.ckpt --output model.onnx
  imgrec export best.ckpt --input image --output model.onnx
  imgrec export best.ckpt data.root=/mnt/photos
"""


def main() -> None:
    """Read the command line and export. Raises: ImgrecError."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    checkpoint, words = _sort(arguments.target)
    check_count("--limit", arguments.limit, at_least=2)
    output = Path(arguments.output)
    _check_output(output, overwrite=arguments.overwrite)
    with closing(ProgressLine(sys.stderr)) as line:
        _export(checkpoint, words, arguments, output=output, line=line)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. imgrec export --help lists what there is.")


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = _Parser(
        prog="imgrec export",
        description="Write a checkpoint as one file for onnxruntime, once it answers about real pictures as the "
        "checkpoint does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("target", nargs="*", metavar="CHECKPOINT", help="best.ckpt, and key=value words for its data")
    parser.add_argument("--output", default="model.onnx", metavar="FILE", help="the file to write (model.onnx)")
    parser.add_argument("--input", choices=("pixels", "image"), default="pixels", help="what the graph takes (pixels)")
    parser.add_argument("--images", metavar="FOLDER", help="pictures for the check (default: the validation split)")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="pictures to check with, at most (1000)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return parser


def _sort(words: Sequence[str]) -> tuple[str, list[str]]:
    paths = [word for word in words if not is_word(word)]
    if len(paths) != 1:
        raise ConfigError(f"Name one checkpoint: imgrec export best.ckpt; not {' and '.join(paths) or 'none'}.")
    return paths[0], [word for word in words if is_word(word)]


def _check_output(output: Path, *, overwrite: bool) -> None:
    if output.exists() and not overwrite:
        raise DataError(f"{output} exists. Give another name (--output FILE), or --overwrite.")


def _export(
    checkpoint: str, words: Sequence[str], arguments: argparse.Namespace, *, output: Path, line: ProgressLine
) -> None:
    from imgrec.cli.checkpoint_data import read_checkpoint

    source = read_checkpoint(checkpoint)
    from imgrec.export.write import export

    exported = export(
        source.network,
        _describe(source, checkpoint),
        output,
        pictures=_pictures(checkpoint, words, arguments),
        input=arguments.input,
        say=line.say,
        progress=line.update,
    )
    line.close()
    _show(output, exported.report)


def _describe(source: "FromCheckpoint", checkpoint: str) -> "BundleInfo":
    from imgrec.cli.checkpoint_data import sha256_of
    from imgrec.export.describe import describe

    return describe(
        source.network, source.preprocess, source.info, name=Path(checkpoint).name, sha256=sha256_of(checkpoint)
    )


def _pictures(checkpoint: str, words: Sequence[str], arguments: argparse.Namespace) -> "Pictures":
    from imgrec.cli.checkpoint_data import read_data_of, split_to_test
    from imgrec.export.answers import pictures_of_folder, some_of

    if arguments.images is not None:
        return pictures_of_folder(Path(arguments.images), limit=arguments.limit)
    return some_of(split_to_test(read_data_of(checkpoint, words), None), arguments.limit)


def _show(output: Path, report: Mapping[str, Any]) -> None:
    parity = report["parity"]
    ties = f", {parity['ties']} ties" if parity["ties"] else ""
    sys.stdout.write(
        f"{output}: {report['size_bytes'] / 1e6:,.1f} MB, SHA-256 {report['sha256'][:16]}...\n"
        f"Checked on {parity['pictures']:,} pictures: {parity['same_labels']:,} of {parity['pictures']:,} labels the "
        f"same{ties}; probabilities at most {parity['max_probability_difference']:.1g} apart.\n"
    )
