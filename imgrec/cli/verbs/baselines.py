"""`imgrec baselines`: classical machine learning on the same images, with the split of the training."""

import argparse
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.cli.parser import Parser
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.targets import OVERRIDES_HELP, add_columns, open_data, target_and_overrides
from imgrec.errors import CheckpointError, ConfigError, MissingExtraError, did_you_mean

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.models.network import ImageNetwork
    from imgrec.studies.baselines.model_row import ModelRow
    from imgrec.studies.baselines.run import BaselineTable, Plan

__all__ = ["main", "make_parser"]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
FROZEN = "frozen"
HANDMADE = ("hog", "lbp", "color")
FEATURES = "hog,color,hog+lbp+color"
MODELS = "linear_svm,knn,random_forest,gradient_boosting"

_EPILOG = f"""\
features (several joined with +): hog   edges: histograms of oriented gradients
                                  lbp   texture: local binary patterns
                                  color colour histogram
models: linear_svm, kernel_svm, logistic_regression, knn, random_forest, gradient_boosting
Features of a model (--backbone or --checkpoint) are used with logistic_regression; --features {FROZEN}: only those.

examples:
  imgrec baselines data=folder data.root=photos
  imgrec baselines data=folder data.root=photos --beside outputs/2026-01-31/12-00-00
  imgrec baselines photos/ --features hog --models linear_svm,kernel_svm --output baselines
  imgrec baselines photos/ --features {FROZEN} --backbone mobilenet_v2 --weights DEFAULT
"""


def main() -> None:
    """Read the command line, fit the baselines and print their table. Raises: ImgrecError."""
    arguments = make_parser().parse_intermixed_args(sys.argv[1:])
    target, overrides = target_and_overrides(arguments)
    try:
        _run(target, overrides, arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nimgrec: stopped; nothing was written.\n")
        raise SystemExit(_INTERRUPTED) from None


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec baselines",
        description="Fit classical models to the training images of train, and evaluate them on the same test images.",
        epilog=_EPILOG,
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"a folder, a table, or {OVERRIDES_HELP}")
    parser.add_argument("--features", metavar="A,B+C", help=f"feature sets (default: {FEATURES})")
    parser.add_argument("--models", metavar="A,B", default=MODELS, help=f"(default: {MODELS})")
    parser.add_argument("--output", metavar="FOLDER", help="folder to write (default: outputs/baselines/DATE/TIME)")
    parser.add_argument("--beside", metavar="RUN", help="folder of a run or an evaluation, for comparison in the table")
    parser.add_argument("--backbone", metavar="NAME", help="a model of torchvision for frozen features")
    parser.add_argument("--weights", metavar="FILE", help="its weights: a file, or DEFAULT to download them")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint of imgrec for frozen features instead")
    parser.add_argument(
        "--max-train", type=int, metavar="N", help="maximum number of training images, stratified by class"
    )
    add_columns(parser)
    return parser


def _run(target: str | None, overrides: Sequence[str], arguments: argparse.Namespace) -> None:
    features, models = _features(arguments), _models(arguments.models)
    if arguments.max_train is not None and arguments.max_train < 2:
        raise ConfigError(f"--max-train {arguments.max_train}: 2 or more, an image for each of two classes.")
    beside = _read_beside(arguments.beside)
    network, name, given = _frozen(arguments)
    data = open_data(target, overrides, augment=None, **given)
    scored = _read(data)
    from imgrec.studies.baselines.run import Plan

    plan = Plan(
        features=features,
        models=models,
        scored=scored,
        only=None if beside is None else _check_beside(beside, data, scored),
        seed=data.seed,
        max_train=arguments.max_train,
        network=network,
        network_name=name,
    )
    contest = _contest(data, plan)
    if beside is not None:
        beside = _completed(beside, data, scored)
    from imgrec.studies.baselines.output import print_baselines, write_baselines

    output = Path(arguments.output or time.strftime("outputs/baselines/%Y-%m-%d/%H-%M-%S"))
    print_baselines(write_baselines(contest, output, network=beside))
    also = f", and for its report {beside.folder / 'baselines.json'}" if beside is not None else ""
    sys.stdout.write(f"Written: {output / 'baselines.json'}, a predictions.parquet for each baseline{also}\n")


def _contest(data: "ImageDataModule", plan: "Plan") -> "BaselineTable":
    from imgrec.studies.baselines.run import run_baselines

    start = time.monotonic()
    line = ProgressLine(sys.stderr)

    def say(text: str) -> None:
        line.say(f"{time.monotonic() - start:4.0f} s  {text}")

    with closing(line):
        return run_baselines(data, plan, progress=line.update, say=say)


# Arguments


def _features(arguments: argparse.Namespace) -> list[tuple[str, ...]]:
    """Return the sets of features. Raises: ConfigError: an unknown one. MissingExtraError: scikit-image."""
    has_network = arguments.backbone is not None or arguments.checkpoint is not None
    if arguments.backbone is not None and arguments.checkpoint is not None:
        raise ConfigError("--backbone and --checkpoint both name a model. Give one of them.")
    if (arguments.weights is not None) != (arguments.backbone is not None):
        raise ConfigError("--backbone NAME goes with --weights FILE (or DEFAULT), and the other way round.")
    sets = [tuple(dict.fromkeys(text.split("+"))) for text in _listed(arguments.features or FEATURES)]
    for name in (name for names in sets for name in names):
        if name not in (*HANDMADE, FROZEN):
            near = did_you_mean(name, (*HANDMADE, FROZEN))
            raise ConfigError(f"--features has no {name!r}.{near} It has {', '.join(HANDMADE)} and {FROZEN}.")
    if any(FROZEN in names and len(names) > 1 for names in sets):
        raise ConfigError(f"{FROZEN} features cannot be joined: --features hog,{FROZEN}")
    if (FROZEN,) in sets and not has_network:
        raise ConfigError(f"--features {FROZEN} are a network's: add --backbone NAME --weights FILE, or --checkpoint.")
    if has_network and (FROZEN,) not in sets:
        sets.append((FROZEN,))
    if any("lbp" in names for names in sets) and find_spec("skimage") is None:
        raise MissingExtraError("scikit-image", "classic")
    return list(dict.fromkeys(sets))


def _models(text: str) -> list[str]:
    """Return the names of models. Raises: ConfigError: an unknown one."""
    from imgrec.studies.baselines.models import MODELS as KNOWN

    for name in (names := _listed(text)):
        if name not in KNOWN:
            raise ConfigError(f"--models has no {name!r}.{did_you_mean(name, KNOWN)} It has {', '.join(KNOWN)}.")
    return names


def _listed(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ConfigError("--features and --models take names with commas between them: --features hog,color")
    return names


# The data and the networks


def _read(data: "ImageDataModule") -> str:
    """Read the data as a run would, look at it, and return the split to score."""
    from imgrec.auditing.before_training import check_data

    for note in data.splits.notes:
        sys.stderr.write(f"imgrec: {note}\n")
    check_data(data)
    data.split("train")  # raises DataError where there is none
    return "test" if data.has_split("test") or not data.has_split("val") else "val"


def _frozen(arguments: argparse.Namespace) -> tuple["ImageNetwork | None", str, dict[str, Any]]:
    """Return the network of frozen features, its name, and what of the data it decides: the preprocessing."""
    if arguments.backbone is not None:
        from imgrec.models import make_backbone

        network = make_backbone(arguments.backbone, num_classes=2, weights=arguments.weights)
        return network, f"{FROZEN}_{arguments.backbone}", {}
    if arguments.checkpoint is None:
        return None, "", {}
    from imgrec.core.checkpoint.checkpoint import load_checkpoint
    from imgrec.core.config.build import build_from_checkpoint
    from imgrec.models.network import ImageNetwork

    path = Path(arguments.checkpoint)
    payload = load_checkpoint(path)
    network, saved = _network(payload, path)
    if not isinstance(network, ImageNetwork):
        raise CheckpointError(
            f"{path} holds a model of type {type(network).__name__}, whose last layer is not known to imgrec."
        )
    preprocess = build_from_checkpoint(saved.get("preprocess"), None, key="preprocess")
    return network, f"{FROZEN}_{_model_name(saved)}", {"preprocess": preprocess}


def _network(payload: Mapping[str, Any], path: Path) -> tuple[Any, Mapping[str, Any]]:
    """Return the network of a checkpoint, and the configuration in it."""
    from imgrec.core.checkpoint.checkpoint import CheckpointInfo
    from imgrec.core.config.build import build_from_checkpoint
    from imgrec.evaluation.restore import load_exactly

    saved = CheckpointInfo.from_checkpoint(payload, name=str(path)).config
    network = build_from_checkpoint(saved.get("model"), None, key="model", weights=None)
    tensors = {key.removeprefix("net."): value for key, value in payload["state_dict"].items() if key[:4] == "net."}
    load_exactly(network, tensors, name=str(path))
    return network, saved


def _model_name(saved: Mapping[str, Any]) -> str:
    """Return what a checkpoint calls its model, fit for the name of a folder."""
    model = saved.get("model") or {}
    name = str(model.get("name") or str(model.get("_target_", "network")).rpartition(".")[2])
    return re.sub(r"\W", "_", name.removeprefix("make_"))[:60]


def _read_beside(folder: str | None) -> "ModelRow | None":
    if folder is None:
        return None
    from imgrec.studies.baselines.model_row import read_model_row

    return read_model_row(Path(folder))


def _check_beside(beside: "ModelRow", data: "ImageDataModule", scored: str) -> list[int] | None:
    """Return the places of the images that the network was scored on; None: all of them. Raises: DataError."""
    from imgrec.studies.baselines.model_row import check_same_images

    samples, class_names = data.split(scored), data.splits.class_names
    if samples.labels.ndim != 1:  # several labels per image are refused when baselines are made
        return None
    labels = [class_names[label] for label in samples.labels]
    places = check_same_images(beside.predictions, samples.names, labels, num_held_out=beside.num_held_out)
    return places if len(places) < len(samples) else None


def _completed(beside: "ModelRow", data: "ImageDataModule", scored: str) -> "ModelRow":
    """Return the line with name, size and time, where the checkpoint that was evaluated is still there."""
    from imgrec.core.checkpoint.checkpoint import load_checkpoint
    from imgrec.core.config.build import build_from_checkpoint
    from imgrec.studies.baselines.frozen import ms_per_image

    path = Path(beside.source)
    if path.suffix != ".ckpt" or not path.is_file():
        return beside
    network, saved = _network(load_checkpoint(path), path)
    preprocess = build_from_checkpoint(saved.get("preprocess"), None, key="preprocess")
    return replace(
        beside,
        name=_model_name(saved),
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()),
        predict_ms_per_image=ms_per_image(network, data.split(scored), preprocess=preprocess),
    )
