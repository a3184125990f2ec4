"""`imgrec benchmark`: latency and throughput of models on this machine, side by side."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.cli.parser import Parser
from imgrec.core.config.checks import check_count
from imgrec.core.system.hardware import num_processors
from imgrec.core.system.progress_line import ProgressLine
from imgrec.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from imgrec.deploy.benchmark.measure import Contender, Measured

__all__ = ["main", "make_parser"]

FORMAT = 1
_SUFFIXES = (".onnx", ".ckpt", ".xml")
_EPILOG = """\
A model is a bundle (.onnx), a checkpoint (.ckpt: PyTorch in float32 and bfloat16), or an OpenVINO file (.xml).
Latency is for one image, throughput for batches; models take turns. Ratios are to the first row; above 1 is better.

examples:
  imgrec benchmark model.onnx best.ckpt
  imgrec benchmark best.ckpt model.onnx small.onnx --compile --output benchmark.json
"""


def main() -> None:
    """Run the verb on `sys.argv`: measure, print a table, and write it if asked. Raises: ImgrecError."""
    arguments = make_parser().parse_args(sys.argv[1:])
    if not arguments.models:
        raise ConfigError("Name the models: imgrec benchmark model.onnx best.ckpt")
    check_count("--rounds", arguments.rounds, at_least=1)
    check_count("--batch", arguments.batch, at_least=1)
    threads = num_processors() if arguments.threads is None else arguments.threads
    check_count("--threads", threads, at_least=1)
    paths = [Path(name) for name in arguments.models]
    _check_files(paths)
    with closing(ProgressLine(sys.stderr, unit="rounds")) as line:
        line.say("Loading")
        contenders = _load(paths, threads=threads, compiled=arguments.compile)
        from imgrec.deploy.benchmark.measure import measure

        results = measure(
            contenders, rounds=arguments.rounds, batch_size=arguments.batch, progress=line.update, say=line.say
        )
    report = _report(results, threads=threads, rounds=arguments.rounds, batch_size=arguments.batch)
    if arguments.output is not None:
        from imgrec.core.files.json_file import write_json

        write_json(Path(arguments.output), report)
    sys.stdout.write(_table(report))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the verb; its errors are ConfigErrors."""
    parser = Parser(
        prog="imgrec benchmark",
        description="Measure latency and throughput of models on this machine.",
        epilog=_EPILOG,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model.onnx, best.ckpt, model.xml")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="measurements of each model (20)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="images per batch (32)")
    parser.add_argument("--threads", type=int, metavar="N", help="for one batch (default: one per core)")
    parser.add_argument(
        "--compile", action="store_true", help="also checkpoints with torch.compile, which takes minutes"
    )
    parser.add_argument("--output", metavar="FILE", help="write the measurements as JSON")
    return parser


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.suffix not in _SUFFIXES:
            raise ConfigError(f"{path} is none of {', '.join(_SUFFIXES)}.")
        if not path.is_file():
            raise ConfigError(f"No file {path}. Name model.onnx, best.ckpt or model.xml.")


def _load(paths: Sequence[Path], *, threads: int, compiled: bool) -> "list[Contender]":
    from imgrec.deploy.benchmark.contenders import of_bundle

    contenders: list[Contender] = []
    for path in paths:
        if path.suffix == ".ckpt":
            contenders += _of_checkpoint(path, threads=threads, compiled=compiled)
        elif path.suffix == ".xml":
            contenders += _of_xml(path, threads=threads)
        else:
            contenders += of_bundle(path, threads=threads)
    return sorted(contenders, key=lambda contender: "PyTorch float32" not in contender.name)


def _of_checkpoint(path: Path, *, threads: int, compiled: bool) -> "list[Contender]":
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.evaluation.restore import load_classifier
    import torch

    from imgrec.deploy.benchmark.contenders import of_network

    loaded = load_classifier(path)
    torch.set_num_threads(threads)
    return of_network(loaded.network, loaded.preprocess, path, compiled=compiled)


def _of_xml(path: Path, *, threads: int) -> "list[Contender]":
    from imgrec.deploy.benchmark.contenders import of_openvino
    from imgrec.deploy.predict.openvino_model import read_openvino_info

    size = read_openvino_info(path).preprocess.height_width
    if size is None:
        raise BundleError(f"{path} takes images of any size, so there is no size to measure with. Name another model.")
    return of_openvino(path, size=size, threads=threads)


def _report(results: "Sequence[Measured]", *, threads: int, rounds: int, batch_size: int) -> dict[str, Any]:
    import platform

    return {
        "format": FORMAT,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "threads": threads,
        "rounds": rounds,
        "batch_size": batch_size,
        "models": [result.to_dict(results[0]) for result in results],
    }


def _table(report: dict[str, Any]) -> str:
    rows = report["models"]
    width = max(len(row["name"]) for row in rows)
    head = f"{'':{width}}  {'MB':>7} {'ms':>8} {'p95 ms':>8} {'times':>6}  {'images/s':>9} {'times':>6}\n"
    lines = [
        f"{row['name']:{width}}  {row['size_bytes'] / 1e6:7.1f} {row['latency_ms']['median']:8.2f} "
        f"{row['latency_ms']['p95']:8.2f} {row['latency_ratio']:6.2f}  {row['throughput_images_s']:9.1f} "
        f"{row['throughput_ratio']:6.2f}\n"
        for row in rows
    ]
    about = f"One image; batches of {report['batch_size']}; {report['threads']} threads, {report['rounds']} rounds.\n"
    return head + "".join(lines) + about
