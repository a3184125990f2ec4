"""`imgrec export`: write a checkpoint as one file that runs without PyTorch, checked against the checkpoint."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from imgrec.cli.parser import Parser
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import is_override
from imgrec.deploy.export.checkpoint import export_checkpoint
from imgrec.errors import ConfigError

__all__ = ["main", "make_parser"]

_EPILOG = """\
exit code: 0 written, 1 the check failed and nothing was written, 2 could not run.

examples:
  imgrec export best.ckpt --output model.onnx
  imgrec export best.ckpt --input image --output model.onnx
  imgrec export best.ckpt --int8 --output small.onnx
  imgrec export best.ckpt --int8 --calibration photos/ --images more_photos/ --max-drop 0.5
  imgrec export best.ckpt data.root=/mnt/photos
"""


def main() -> None:
    """Run the verb on `sys.argv`.

    Raises:
        ImgrecError: Nothing was written.
    """
    options = vars(make_parser().parse_intermixed_args(sys.argv[1:]))
    checkpoint, overrides = _sort(options.pop("target"))
    output = Path(options.pop("output"))
    with closing(ProgressLine(sys.stderr)) as line:
        report = export_checkpoint(
            checkpoint, output, overrides=overrides, say=line.say, progress=line.update, **options
        )
    _show(output, report)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the verb; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec export",
        description="Write a checkpoint as one file for onnxruntime, OpenVINO or PyTorch. It is written only if it "
        "gives the checkpoint's outputs on real images.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "target", nargs="*", metavar="CHECKPOINT", help="best.ckpt, and key=value overrides of its data"
    )
    parser.add_argument(
        "--output", default="model.onnx", metavar="FILE", help="file to write: .onnx, .pt2, .safetensors, .xml"
    )
    parser.add_argument("--input", choices=("pixels", "image"), default="pixels", help="of the graph (pixels)")
    parser.add_argument("--int8", action="store_true", help="8-bit weights and activations")
    parser.add_argument("--float16", action="store_true", help="16-bit weights and activations")
    parser.add_argument("--calibration", metavar="FOLDER", help="images for --int8 (default: training split)")
    parser.add_argument("--calibration-images", type=int, default=128, metavar="N", help="how many of them (128)")
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="X", help="percentage points of accuracy to lose, at most (1)"
    )
    parser.add_argument("--images", metavar="FOLDER", help="images for the check (default: validation split)")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="images to check with, at most (1000)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def _sort(arguments: Sequence[str]) -> tuple[str, list[str]]:
    paths = [argument for argument in arguments if not is_override(argument)]
    if len(paths) != 1:
        raise ConfigError(f"Name one checkpoint: imgrec export best.ckpt; not {' and '.join(paths) or 'none'}.")
    return paths[0], [argument for argument in arguments if is_override(argument)]


def _show(output: Path, report: Mapping[str, Any]) -> None:
    parity, drop = report["parity"], report["drop"]
    ties = f", {parity['ties']} ties" if parity["ties"] else ""
    digest = f", SHA-256 {report['sha256'][:16]}..." if "sha256" in report else ""
    lines = [
        f"{output}: {report['size_bytes'] / 1e6:,.1f} MB{digest}",
        f"Checked on {parity['images']:,} images: {parity['same_labels']:,} of {parity['images']:,} predictions "
        f"identical{ties}; probabilities differ by at most {parity['max_probability_difference']:.1g}.",
    ]
    if drop["measured"] == "accuracy":
        lines.append(
            f"Accuracy {drop['before']:.1f} % before, {drop['after']:.1f} % after: a drop of {drop['points']:.1f} "
            f"points ({drop['low']:.1f} to {drop['high']:.1f}, 95 %)."
        )
    sys.stdout.write("\n".join(lines) + "\n")
