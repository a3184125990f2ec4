"""The study `ood=folder`: a folder of out-of-distribution images against the evaluated split, as ood.json."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_count
from imgrec.core.files.json_file import write_json
from imgrec.core.keyed_random import lasting_order
from imgrec.core.text import printable
from imgrec.data.images.collections import FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Samples
from imgrec.data.sources.walk import Walk
from imgrec.errors import DataError
from imgrec.evaluation.figures.figures import save_png
from imgrec.studies.ood.histograms import draw_histograms
from imgrec.studies.ood.outputs import ImageOutputs, compute_outputs, evaluated_outputs
from imgrec.studies.ood.scores import Gaussians, Neighbours, energy, max_probability
from imgrec.studies.ood.separation import measure_separation
from imgrec.studies.study import Subject

__all__ = ["OodFolder"]

log = logging.getLogger("imgrec")

FORMAT = 1
FEWEST = 20  # images of a side, below which nothing can be measured
MOST_LISTED = 100  # broken files

Reference = tuple[ImageOutputs, NDArray[np.int64]]
"""Training images and their labels; with several labels per image all labels are 0."""


class OodFolder:
    """Measures how well four OOD scores separate the images of a folder from the evaluated split.

    Args:
        folder: Out-of-distribution images, at any depth.
        limit: Images at most of the folder, of the evaluated split, and of the training split as reference.
        neighbours: The k of the k-nearest-neighbours score.
        seed: Of the images that are drawn where there are more than `limit`.
    """

    def __init__(self, folder: str, *, limit: int = 5000, neighbours: int = 10, seed: int = 1) -> None:
        check_count("ood.limit", limit, at_least=FEWEST)
        check_count("ood.neighbours", neighbours, at_least=1)
        self.folder = Path(folder)
        self.limit = limit
        self.neighbours = neighbours
        self.seed = seed

    def check(self, data: ImageDataModule, /) -> None:
        """Check that there are images. Raises: DataError: No such folder, or no image in it."""
        del data
        _list_images(self.folder, [])

    def __call__(self, subject: Subject) -> None:
        """Write ood.json and ood/histograms.png.

        Raises:
            DataError: No such folder, or fewer than 20 readable images on a side.
        """
        notes: list[str] = []
        ood_samples = _list_images(self.folder, notes)
        own = evaluated_outputs(subject, self._draw(len(subject.data.split(subject.split))))
        ood = compute_outputs(subject, ood_samples, self._draw(len(ood_samples)))
        _check_enough(own, what=f"the {subject.split} split")
        _check_enough(ood, what=str(self.folder))
        reference = self._reference(subject, has_features=own.features is not None, notes=notes)
        scores = [
            {"name": name, **measure_separation(*pair)}
            for name, pair in self._scores(own, ood, reference=reference, task=subject.data.splits.task)
        ]
        found = {
            "format": FORMAT,
            "ood": {"folder": str(self.folder), **_count(ood, listed=True)},
            "in_distribution": {"split": subject.split, **_count(own)},
            "reference": None if reference is None else {"split": "train", **_count(reference[0])},
            "scores": scores,
            "notes": notes,
        }
        write_json(subject.folder / "ood.json", found)
        save_png(draw_histograms(scores), subject.folder / "ood" / "histograms.png")
        _report(found)

    def _draw(self, count: int) -> NDArray[np.int64]:
        """Return at most `limit` of `count` places, in order."""
        if count <= self.limit:
            return np.arange(count)
        return np.sort(lasting_order(count, self.seed)[: self.limit])

    def _reference(self, subject: Subject, *, has_features: bool, notes: list[str]) -> Reference | None:
        """Return the reference, or None and a note."""
        missing = "" if has_features else "the head of the model is not known"
        if has_features and (not subject.data.has_split("train") or not len(subject.data.split("train"))):
            missing = "the data has no train split to compare with"
        if missing:
            notes.append(f"No nearest neighbours and no Mahalanobis distance: {missing}.")
            return None
        samples = subject.data.split("train")
        outputs = compute_outputs(subject, samples, self._draw(len(samples)))
        _check_enough(outputs, what="the train split")
        if samples.labels.ndim == 1:
            return outputs, samples.labels[outputs.places].astype(np.int64)
        notes.append("Images have several labels: the Mahalanobis distance is to the mean of all.")
        return outputs, np.zeros(len(outputs.places), dtype=np.int64)

    def _scores(
        self, own: ImageOutputs, ood: ImageOutputs, *, reference: Reference | None, task: str
    ) -> Iterator[tuple[str, tuple[Any, Any]]]:
        """Yield the name of each score, and its values for in-distribution and OOD images."""
        for name, of_logits in (("max_softmax", max_probability), ("energy", energy)):
            yield name, tuple(of_logits(side.logits, is_multilabel=task == "multilabel") for side in (own, ood))  # type: ignore[misc]
        if reference is None:
            return
        outputs, labels = reference
        assert outputs.features is not None and own.features is not None and ood.features is not None
        for name, fitted in (
            ("knn", Neighbours.of(outputs.features, k=self.neighbours)),
            ("mahalanobis", Gaussians.of(outputs.features, labels)),
        ):
            yield name, (fitted.score(own.features), fitted.score(ood.features))


def _list_images(folder: Path, notes: list[str]) -> Samples:
    """Return all images below a folder. Raises: DataError: No folder, or no image in it."""
    if not folder.is_dir():
        raise DataError(f"ood.folder={folder} is not a folder. Name one with out-of-distribution images.")
    walk = Walk(inside=[str(folder.resolve())])
    (paths,) = walk.files([str(folder)])
    if not paths:
        raise DataError(f"ood.folder={folder} holds no image{walk.why_empty(str(folder))}.")
    notes += [note.text for note in walk.notes()]
    return Samples(
        names=paths, images=FileImages([Path(path) for path in paths]), labels=np.zeros(len(paths), dtype=np.int64)
    )


def _check_enough(outputs: ImageOutputs, *, what: str) -> None:
    if len(outputs.places) < FEWEST:
        broken = outputs.broken
        first = f"; {len(broken)} cannot be read, the first: {broken[0]}" if broken else ""
        raise DataError(f"{what}: {len(outputs.places)} images, OOD scores need {FEWEST} or more{first}.")


def _count(outputs: ImageOutputs, *, listed: bool = False) -> dict[str, Any]:
    count: dict[str, Any] = {"num_samples": len(outputs.places), "num_broken": len(outputs.broken)}
    if listed:
        count["broken"] = [
            {"path": printable(error.path), "code": error.code, "detail": error.detail}
            for error in outputs.broken[:MOST_LISTED]
        ]
    return count


def _report(found: dict[str, Any]) -> None:
    ood, own = found["ood"], found["in_distribution"]
    broken = f" ({ood['num_broken']} more cannot be read)" if ood["num_broken"] else ""
    log.info(
        "%s OOD images%s against %s of the %s split:", ood["num_samples"], broken, own["num_samples"], own["split"]
    )
    for score in found["scores"]:
        log.info("  %s: AUROC %.3f, FPR at 95%% TPR %.3f", score["name"], score["auroc"], score["fpr_at_95_tpr"])
    for note in found["notes"]:
        log.info("Note: %s", note)
