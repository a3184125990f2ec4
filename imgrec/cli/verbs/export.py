"""`imgrec export`: a checkpoint as one file that runs without PyTorch, checked against the checkpoint."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.cli.parser import Parser
from imgrec.core.config.checks import check_count, check_number
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import is_override
from imgrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from imgrec.cli.inputs.checkpoint_data import FromCheckpoint
    from imgrec.deploy.bundle import BundleInfo
    from imgrec.deploy.export.outputs import ImageSet

__all__ = ["main", "make_parser"]

_KINDS = {
    ".onnx": "a bundle for onnxruntime",
    ".xml": "OpenVINO",
    ".pt2": "torch.export",
    ".safetensors": "weights for PyTorch",
}

_TORCH = (".pt2", ".safetensors")

_EPILOG = """\
exit code: 0 written, 1 the gate failed and nothing was written, 2 could not run.

examples:
  imgrec export best.ckpt --output model.onnx
  imgrec export best.ckpt --input image --output model.onnx
  imgrec export best.ckpt --int8 --output small.onnx
  imgrec export best.ckpt --int8 --calibration photos/ --images more_photos/ --max-drop 0.5
  imgrec export best.ckpt data.root=/mnt/photos
"""


def main() -> None:
    """Read the command line and export. Raises: ImgrecError."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    checkpoint, words = _sort(arguments.target)
    _check(arguments)
    output = Path(arguments.output)
    _check_output(output, overwrite=arguments.overwrite)
    with closing(ProgressLine(sys.stderr)) as line:
        _export(checkpoint, words, arguments, output=output, line=line)


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec export",
        description="Write a checkpoint as one file for onnxruntime, once it answers about real images as the "
        "checkpoint does.",
        epilog=_EPILOG,
    )
    parser.add_argument("target", nargs="*", metavar="CHECKPOINT", help="best.ckpt, and key=value words for its data")
    parser.add_argument(
        "--output", default="model.onnx", metavar="FILE", help="file to write: .onnx, .pt2, .safetensors, .xml"
    )
    parser.add_argument("--input", choices=("pixels", "image"), default="pixels", help="what the graph takes (pixels)")
    parser.add_argument("--int8", action="store_true", help="8-bit weights and activations")
    parser.add_argument("--float16", action="store_true", help="16-bit weights and activations")
    parser.add_argument("--calibration", metavar="FOLDER", help="images for --int8 (default: the training split)")
    parser.add_argument("--calibration-images", type=int, default=128, metavar="N", help="how many of them (128)")
    parser.add_argument("--max-drop", type=float, default=1.0, metavar="X", help="points of accuracy to lose (1)")
    parser.add_argument("--images", metavar="FOLDER", help="images for the check (default: the validation split)")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="images to check with, at most (1000)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return parser


def _check(arguments: argparse.Namespace) -> None:
    check_count("--limit", arguments.limit, at_least=2)
    check_count("--calibration-images", arguments.calibration_images, at_least=1)
    check_number("--max-drop", arguments.max_drop, at_least=0, at_most=100)
    if arguments.int8 and arguments.float16:
        raise ConfigError("--int8 or --float16, not both.")
    if (arguments.int8 or arguments.float16 or arguments.input == "image") and Path(arguments.output).suffix in _TORCH:
        raise ConfigError("Files for PyTorch are float32 and take pixels: leave out --int8, --float16, --input image.")
    if arguments.calibration is not None and not arguments.int8:
        raise ConfigError("--calibration is for --int8.")


def _sort(words: Sequence[str]) -> tuple[str, list[str]]:
    paths = [word for word in words if not is_override(word)]
    if len(paths) != 1:
        raise ConfigError(f"Name one checkpoint: imgrec export best.ckpt; not {' and '.join(paths) or 'none'}.")
    return paths[0], [word for word in words if is_override(word)]


def _check_output(output: Path, *, overwrite: bool) -> None:
    if output.suffix not in _KINDS:
        raise ConfigError(f"--output {output}: end its name in {', '.join(_KINDS)}.")
    if output.exists() and not overwrite:
        raise DataError(f"{output} exists. Give another name (--output FILE), or --overwrite.")


def _export(
    checkpoint: str, words: Sequence[str], arguments: argparse.Namespace, *, output: Path, line: ProgressLine
) -> None:
    from imgrec.cli.inputs.checkpoint_data import read_checkpoint

    source = read_checkpoint(checkpoint)
    from imgrec.deploy.export.write import Settings, export_bundle

    images, calibration = _images(checkpoint, words, arguments)
    settings = Settings(
        input=arguments.input,
        precision="int8" if arguments.int8 else "float16" if arguments.float16 else "float32",
        max_drop=arguments.max_drop,
        calibration=calibration,
    )
    info = _describe(source, checkpoint)
    rest: dict[str, Any] = {"images": images, "say": line.say, "progress": line.update}
    if output.suffix == ".onnx":
        report = export_bundle(source.network, info, output, settings=settings, **rest)
    elif output.suffix == ".xml":
        from imgrec.deploy.export.openvino_file import export_openvino

        report = export_openvino(source.network, info, output, settings=settings, **rest)
    else:
        from imgrec.deploy.export.torch_file import export_torch

        report = export_torch(source.network, info, output, model=source.info.config["model"], **rest)
    line.close()
    _show(output, report)


def _describe(source: "FromCheckpoint", checkpoint: str) -> "BundleInfo":
    from imgrec.core.files.digest import sha256_of
    from imgrec.deploy.export.describe import describe

    return describe(
        source.network, source.preprocess, source.info, name=Path(checkpoint).name, sha256=sha256_of(checkpoint)
    )


def _images(checkpoint: str, words: Sequence[str], arguments: argparse.Namespace) -> "tuple[ImageSet, ImageSet | None]":
    """Return the images to check with, and those to calibrate with; the checkpoint's data are read if need be."""
    from imgrec.cli.inputs.checkpoint_data import read_data_of, split_to_test
    from imgrec.deploy.export.outputs import images_of_folder, some_of

    needs_data = arguments.images is None or (arguments.int8 and arguments.calibration is None)
    data = read_data_of(checkpoint, words) if needs_data else None
    if arguments.images is not None:
        images = images_of_folder(Path(arguments.images), limit=arguments.limit)
    else:
        assert data is not None
        images = some_of(split_to_test(data), arguments.limit)
    if not arguments.int8:
        return images, None
    if arguments.calibration is not None:
        return images, images_of_folder(Path(arguments.calibration), limit=arguments.calibration_images)
    assert data is not None
    return images, some_of(data.split("train"), arguments.calibration_images)


def _show(output: Path, report: Mapping[str, Any]) -> None:
    parity, drop = report["parity"], report["drop"]
    ties = f", {parity['ties']} ties" if parity["ties"] else ""
    digest = f", SHA-256 {report['sha256'][:16]}..." if "sha256" in report else ""
    lines = [
        f"{output}: {report['size_bytes'] / 1e6:,.1f} MB{digest}",
        f"Checked on {parity['images']:,} images: {parity['same_labels']:,} of {parity['images']:,} labels the "
        f"same{ties}; probabilities at most {parity['max_probability_difference']:.1g} apart.",
    ]
    if drop["measured"] == "accuracy":
        lines.append(
            f"Accuracy {drop['before']:.1f} % before, {drop['after']:.1f} % after: a drop of {drop['points']:.1f} "
            f"points ({drop['low']:.1f} to {drop['high']:.1f}, 95 %)."
        )
    sys.stdout.write("\n".join(lines) + "\n")
