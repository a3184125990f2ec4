"""`imgrec prepare`: decode a data set once, for faster training."""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.cli.parser import Parser
from imgrec.core.config.checks import check_count, check_number
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import OVERRIDES_HELP, Target, add_columns, read_target, target_and_overrides
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from imgrec.data.prepared.prepared_format import Manifest
    from imgrec.errors import ImageError

__all__ = ["main", "make_parser"]

MAX_SAID = 10
USUAL_SIDE = 256  # of preprocess=crop


def main() -> None:
    """Read the command line and prepare. Raises: ImgrecError."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    path, overrides = target_and_overrides(arguments)
    if arguments.verify:
        _verify(path)
        return
    if arguments.output is None:
        raise ConfigError("Give the folder to write: imgrec prepare photos --output prepared")
    check_number("--max-bad", arguments.max_bad, at_least=0)
    if arguments.workers is not None:
        check_count("--workers", arguments.workers, at_least=1)
    output = Path(arguments.output)
    _check_outside(output, path)
    target = read_target(path, overrides)
    for note in target.notes:
        sys.stderr.write(f"imgrec: {note}\n")
    if arguments.shards:
        _write_shards(target, output, arguments)
    else:
        _write_prepared(target, output, arguments)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec prepare",
        description="Decode each image once, resize it, and store the pixels: python train.py data=prepared\n"
        "data.root=DIR then reads them without decoding. Or, with --shards, pack the files into tar files.",
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"a folder, a table, or {OVERRIDES_HELP}")
    parser.add_argument("--output", metavar="DIR", help="folder to write")
    parser.add_argument(
        "--side", type=int, default=256, metavar="PX", help="shorter side; smaller images are not resized (256)"
    )
    parser.add_argument("--interpolation", default="bilinear", help="as preprocess.interpolation (bilinear)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one per CPU)")
    parser.add_argument(
        "--max-bad",
        type=float,
        default=0.01,
        metavar="X",
        help="share or number of unreadable images that may be excluded",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace prepared data at --output")
    parser.add_argument("--verify", action="store_true", help="compare prepared data at TARGET with its digests")
    parser.add_argument("--shards", action="store_true", help="tar shards of the unchanged files (data=shards)")
    parser.add_argument("--shard-mb", type=int, default=256, metavar="MB", help="size of a tar shard (256)")
    add_columns(parser)
    return parser


def _verify(path: str | None) -> None:
    from imgrec.data.prepared.verify import verify

    if path is None:
        raise ConfigError("Give the folder to verify: imgrec prepare --verify prepared")
    with closing(ProgressLine(sys.stderr)) as line:
        count = verify(Path(path), progress=line.update)
    sys.stdout.write(f"{path}: {count:,} images are unchanged.\n")


def _check_outside(output: Path, target: str | None) -> None:
    """Refuse an output inside the data, where it would be read as a class."""
    if target is not None and Path(target).is_dir() and output.resolve().is_relative_to(Path(target).resolve()):
        raise DataError(f"--output {output} is inside {target}, where it would be read as images. Give another folder.")


def _write_prepared(target: Target, output: Path, arguments: argparse.Namespace) -> None:
    from imgrec.data.prepared.build import Source, prepare
    from imgrec.data.prepared.shrink import Shrink

    shrink = Shrink(arguments.side, arguments.interpolation)
    with closing(ProgressLine(sys.stderr)) as line:
        manifest, bad = prepare(
            Source(target.where, target.parts, target.class_names, target.task),
            output,
            shrink=shrink,
            workers=arguments.workers,
            overwrite=arguments.overwrite,
            max_bad=arguments.max_bad,
            progress=line.update,
        )
    _say(manifest, bad, output)


def _say(manifest: "Manifest", bad: "list[ImageError]", output: Path) -> None:
    for error in bad[:MAX_SAID]:
        sys.stderr.write(f"imgrec: could not be read: {error}\n")
    if len(bad) > MAX_SAID:
        sys.stderr.write(f"imgrec: and {len(bad) - MAX_SAID} more; {output}/images.parquet has them all\n")
    counts = ", ".join(f"{part} {count:,}" for part, count in manifest.counts.items())
    size = sum(shard.num_bytes for shard in manifest.shards)
    left = f", {len(bad)} of them unreadable" if bad else ""
    sys.stdout.write(
        f"{output}: {sum(manifest.counts.values()):,} images ({counts}){left}, {len(manifest.class_names)} classes, "
        f"shorter side {manifest.side} px, {size / 1e6:,.0f} MB.\n"
        f"Train: python train.py data=prepared data.root={output}{_smaller(manifest.side)}\n"
    )


def _smaller(side: int) -> str:
    """Return the overrides for training on images that are smaller than those of preprocess=crop."""
    if side >= USUAL_SIDE:
        return ""
    return f" preprocess.size={round(side * 0.875)} preprocess.resize={side}"


def _write_shards(target: Target, output: Path, arguments: argparse.Namespace) -> None:
    from imgrec.data.shards.tar_writer import write_tar_shards

    check_count("--shard-mb", arguments.shard_mb, at_least=1)
    if arguments.overwrite:
        raise ConfigError("--overwrite is for prepared data. With --shards, remove the old folder first.")
    with closing(ProgressLine(sys.stderr)) as line:
        write_tar_shards(
            target.parts,
            class_names=target.class_names,
            output=output,
            shard_mb=arguments.shard_mb,
            progress=line.update,
        )
    counts = ", ".join(f"{part} {len(samples):,}" for part, samples in target.parts.items())
    num_shards = len(list(output.glob("*.tar")))
    sys.stdout.write(
        f"{output}: {num_shards:,} shards ({counts} images).\nTrain: python train.py data=shards data.root={output}\n"
    )
