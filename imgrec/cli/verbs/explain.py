"""`imgrec explain`: saliency maps, with checks of their faithfulness."""

import argparse
import glob
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.cli.parser import Parser
from imgrec.core.config.checks import check_count
from imgrec.core.system.progress_line import ProgressLine
from imgrec.core.text import listed
from imgrec.errors import ConfigError, DataError, ImageError, did_you_mean

if TYPE_CHECKING:
    from imgrec.evaluation.restore import LoadedClassifier
    from imgrec.studies.explain.methods import Method
    from imgrec.studies.explain.record import Shown

__all__ = ["main", "make_parser"]

METHODS = ("gradcam", "integrated_gradients", "occlusion")
FOLDER = "explain"  # of the panels, in the folder of the output
_SOME_UNREADABLE = 1

_EPILOG = """\
exit code: 0 all images explained, 1 some could not be read, 2 could not run.

examples:
  imgrec explain outputs/mine/best.ckpt photo.jpg photos/
  imgrec explain outputs/mine/best.ckpt "photos/*.png" --method all --target bees --output maps/
"""


def main() -> None:
    """Read the command line and explain.

    Raises:
        SystemExit: With 1 if an image could not be read.
    """
    arguments = make_parser().parse_args(sys.argv[1:])
    check_count("--limit", arguments.limit, at_least=1)
    paths, notes = _chosen(_listed(arguments.inputs), limit=arguments.limit)
    if _explain(paths, arguments, notes=notes):
        raise SystemExit(_SOME_UNREADABLE)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="imgrec explain",
        description="Saliency maps: which parts of an image the score of a class depends on, with checks of the map.",
        epilog=_EPILOG,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint of imgrec, such as best.ckpt")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help='images, folders of them, or "patterns*.jpg"')
    parser.add_argument("--method", choices=(*METHODS, "all"), default="gradcam")
    parser.add_argument("--target", metavar="CLASS", help="the class to explain (default: the prediction; with several "
                        "labels each predicted one, or the most probable)")  # fmt: skip
    parser.add_argument("--baseline", choices=("blurred", "mean", "black"), default="blurred", help="image "
                        "without information")  # fmt: skip
    parser.add_argument("--output", metavar="DIR", default="explanation", help="folder to write")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="maximum number of images, evenly spread (20)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="random seed of the checks")
    return parser


def _listed(inputs: Sequence[str]) -> list[Path]:
    """Return the image files that the inputs name, each once.

    Raises:
        DataError: An input that names no file.
    """
    from imgrec.data.sources.walk import Walk

    paths: dict[Path, Path] = {}  # by what they lead to, so that each is explained once

    def add(found: Iterable[Path]) -> None:
        for one in found:
            paths.setdefault(one.resolve(), one)

    for item in inputs:
        path = Path(item)
        if path.is_dir():
            (files,) = Walk(inside=[str(path.resolve())]).files([item])
            if not files:
                raise DataError(f"{item}: no image in this folder.")
            add(map(Path, files))
        elif path.exists():
            add([path])
        elif found := sorted(Path(name) for name in glob.glob(item, recursive=True)):  # noqa: PTH207 (any pattern)
            add(one for one in found if not one.is_dir())
        else:
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"{item}: no such image, folder or pattern.{did_you_mean(path.name, siblings)}")
    if not paths:
        raise DataError(f"No image among {', '.join(inputs)}.")
    return list(paths.values())


def _chosen(paths: list[Path], *, limit: int) -> tuple[list[Path], list[str]]:
    """Return at most `limit` paths, evenly spread, and a note on those that are skipped."""
    if len(paths) <= limit:
        return paths, []
    step = len(paths) / limit
    note = f"{limit} of {len(paths):,} images, evenly spread over the list. More: --limit N."
    return [paths[int(place * step)] for place in range(limit)], [note]


def _explain(paths: Sequence[Path], arguments: argparse.Namespace, *, notes: Sequence[str]) -> bool:
    """Explain the images, write everything, and return whether some could not be read."""
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.evaluation.restore import load_classifier
    from imgrec.core.files.atomic_write import write_bytes
    from imgrec.evaluation.fit_on_split import decisions_in
    from imgrec.studies.explain.examine import Examiner
    from imgrec.studies.explain.page import to_html
    from imgrec.studies.explain.record import write_explanations

    loaded = load_classifier(arguments.checkpoint)
    _check_target(arguments.target, loaded.info.class_names)
    methods = _methods(arguments.method)
    decisions = decisions_in(loaded.info, name=arguments.checkpoint)
    examiner = Examiner(
        loaded.network,
        methods=methods,
        baseline=arguments.baseline,
        seed=arguments.seed,
        from_logits=decisions.probabilities,
    )
    output = Path(arguments.output)
    work = _Work(loaded, examiner, output=output, target=arguments.target)
    line = ProgressLine(sys.stderr)
    try:
        for number, path in enumerate(paths):
            work.add(path, number)
            line.update(number + 1, len(paths))
    finally:
        line.close()
    if not work.rows:
        raise DataError(f"None of the {len(paths)} images can be read, the first: {work.failed[0]['message']}")
    settings = {"baseline": examiner.baseline, "num_random": examiner.num_random, "seed": examiner.seed}
    content = write_explanations(output, work.rows, settings=settings, failed=work.failed, notes=notes)
    write_bytes(output / "explain.html", to_html(content, work.views, checkpoint=arguments.checkpoint))
    _show(content, output)
    return bool(work.failed)


def _check_target(target: str | None, class_names: Sequence[str]) -> None:
    if target is not None and target not in class_names:
        raise ConfigError(
            f"--target {target} is not a class of the model.{did_you_mean(target, class_names)} "
            f"Classes: {listed(class_names, limit=20)}."
        )


def _methods(name: str) -> "list[Method]":
    from imgrec.studies.explain.methods import GradCam, IntegratedGradients, Occlusion

    makers: dict[str, Any] = dict(zip(METHODS, (GradCam, IntegratedGradients, Occlusion), strict=True))
    return [makers[one]() for one in (METHODS if name == "all" else (name,))]


class _Work:
    """Images as they are explained one by one: panels on the disk, rows and views in memory."""

    def __init__(self, loaded: "LoadedClassifier", examiner: Any, *, output: Path, target: str | None) -> None:
        self.loaded = loaded
        self.examiner = examiner
        self.output = output
        self.target = target
        self.rows: list[dict[str, Any]] = []
        self.views: list[Any] = []
        self.failed: list[dict[str, str]] = []

    def add(self, path: Path, number: int) -> None:
        """Explain one image, or note why it cannot be read."""
        from imgrec.data.images.image import read_image
        from imgrec.evaluation.figures.figures import save_png
        from imgrec.studies.explain.page import map_view
        from imgrec.studies.explain.panel import caption_of, draw_panel
        from imgrec.studies.explain.record import image_record

        try:
            image = self.loaded.preprocess(read_image(path))
        except ImageError as error:
            self.failed.append({"path": str(path), "reason": error.code, "message": str(error)})
            return
        names = self.loaded.info.class_names
        for place, shown in enumerate(self._predicted(path, image)):
            for found in self.examiner(image, target=names.index(shown.target)):
                png = f"{FOLDER}/{number:04d}{f'-{place}' if place else ''}-{found.method}.png"
                save_png(draw_panel(found, caption_of(shown, found)), self.output / png)
                self.rows.append(image_record(found, shown, png=png))
                self.views.append(map_view(found, self.rows[-1]))

    def _predicted(self, path: Path, image: Any) -> "list[Shown]":
        """Return the prediction for an image, once for each class to explain."""
        from imgrec.evaluation.decisions.probabilities import predicted_labels
        from imgrec.studies.explain.record import Shown

        names = self.loaded.info.class_names
        probabilities = self.examiner.predict(image[None])
        confidence = dict(zip(names, probabilities[0].tolist(), strict=True))
        best = max(names, key=lambda name: confidence[name])
        if self.loaded.info.task == "multilabel":
            is_predicted = predicted_labels(probabilities, task="multilabel")[0]
            predicted = [name for name, one in zip(names, is_predicted, strict=True) if one]
            # Most confident label first; the name of a folder is not the label of a multi-label image.
            targets = sorted(predicted, key=lambda name: -confidence[name]) or [best]
            targets = targets if self.target is None else [self.target]
            return [Shown(str(path), None, predicted, confidence[target], target) for target in targets]
        # The name of the folder is the label, if it is that of a class.
        label = path.parent.name if path.parent.name in names else None
        return [Shown(str(path), label, best, confidence[best], self.target or best)]


def _show(content: dict[str, Any], output: Path) -> None:
    lines = []
    for name, summary in content["summaries"].items():
        lines.append(f"{name}: {summary['verdict']}. {summary['reason']}.")
    lines += [f"Could not be read: {row['message']}" for row in content["failed"]]
    lines += [*content["notes"], f"Page: {output / 'explain.html'}, explain.json, explain/*.png"]
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding) + "\n")
