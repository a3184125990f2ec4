"""A folder of foreign images beside the data's own, and whether the network notices."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_count
from imgrec.core.files.json_file import write_json
from imgrec.core.keyed_random import lasting_order
from imgrec.data.images.collections import FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import Samples
from imgrec.data.sources.walk import Walk
from imgrec.errors import DataError
from imgrec.evaluation.figures.figures import save_png
from imgrec.evaluation.predictions.predictions import visible
from imgrec.studies.ood.histograms import draw_histograms
from imgrec.studies.ood.scores import Gaussians, Neighbours, energy, max_probability
from imgrec.studies.ood.seen import Seen, see
from imgrec.studies.ood.separation import measure_separation
from imgrec.studies.study import Subject

__all__ = ["OodFolder"]

log = logging.getLogger("imgrec")

FORMAT = 1
FEWEST = 20  # images of a side below which nothing can be said
MOST_LISTED = 100  # broken files


class OodFolder:
    """Scores the images of `folder`, and of the scored split, by how much they are like the training images.

    folder: images of something that the network was not made for, at any depth.
    limit: at most so many images of each side, and of the training split as reference, drawn by `seed`.
    neighbours: the neighbour that counts for `knn`.
    """

    def __init__(self, folder: str, *, limit: int = 5000, neighbours: int = 10, seed: int = 1) -> None:
        check_count("ood.limit", limit, at_least=FEWEST)
        check_count("ood.neighbours", neighbours, at_least=1)
        self.folder = Path(folder)
        self.limit = limit
        self.neighbours = neighbours
        self.seed = seed

    def check(self, data: ImageDataModule, /) -> None:
        """Look whether there are foreign images. Raises: DataError: no such folder, or none in it."""
        del data
        _list_images(self.folder, [])

    def __call__(self, subject: Subject) -> None:
        """Write ood.json and ood/histograms.png.

        Raises: DataError: no such folder, or fewer than 20 readable images on a side.
        """
        notes: list[str] = []
        ood_samples = _list_images(self.folder, notes)
        split = subject.split
        own = self._see(subject, subject.data.split(split))
        foreign = self._see(subject, ood_samples)
        _check_enough(own, what=f"the {split} split")
        _check_enough(foreign, what=str(self.folder))
        reference = self._reference(subject, has_features=own.features is not None, notes=notes)
        scores = [
            {"name": name, **measure_separation(*pair)}
            for name, pair in self._scores(subject, own, foreign, reference=reference)
        ]
        found = {
            "format": FORMAT,
            "foreign": {"folder": str(self.folder), **_count(foreign, listed=True)},
            "own": {"split": split, **_count(own)},
            "reference": None if reference is None else {"split": "train", **_count(reference[0])},
            "scores": scores,
            "notes": notes,
        }
        write_json(subject.folder / "ood.json", found)
        save_png(draw_histograms(scores), subject.folder / "ood" / "histograms.png")
        _report(found)

    def _see(self, subject: Subject, samples: Samples) -> Seen:
        places = np.arange(len(samples))
        if len(places) > self.limit:
            order = lasting_order(len(places), self.seed)
            places = np.sort(order[: self.limit])
        dataset = ImageDataset(samples, preprocess=subject.data.preprocess)
        return see(subject.network, dataset, places, device=subject.device, batch_size=subject.data.eval_batch_size)

    def _reference(
        self, subject: Subject, *, has_features: bool, notes: list[str]
    ) -> tuple[Seen, NDArray[np.int64]] | None:
        """Return training images and their labels (several labels: 0 for all), or None and a note."""
        missing = "" if has_features else "the network does not say which layer is its head"
        if has_features and (not subject.data.has_split("train") or not len(subject.data.split("train"))):
            missing = "the data has no train split to compare with"
        if missing:
            notes.append(f"No nearest neighbours and no Mahalanobis distance: {missing}.")
            return None
        samples = subject.data.split("train")
        seen = self._see(subject, samples)
        _check_enough(seen, what="the train split")
        if samples.labels.ndim == 1:
            return seen, samples.labels[seen.places].astype(np.int64)
        notes.append("Images have several labels: the Mahalanobis distance is to the mean of all.")
        return seen, np.zeros(len(seen.places), dtype=np.int64)

    def _scores(
        self, subject: Subject, own: Seen, foreign: Seen, *, reference: tuple[Seen, NDArray[np.int64]] | None
    ) -> Iterator[tuple[str, tuple[Any, Any]]]:
        """Yield the name of each score, and its values for own and foreign images."""
        is_multilabel = subject.data.splits.task == "multilabel"
        for name, of_logits in (("max_softmax", max_probability), ("energy", energy)):
            yield name, tuple(of_logits(side.logits, is_multilabel=is_multilabel) for side in (own, foreign))  # type: ignore[misc]
        if reference is None:
            return
        seen, labels = reference
        assert seen.features is not None and own.features is not None and foreign.features is not None
        for name, fitted in (
            ("knn", Neighbours.of(seen.features, k=self.neighbours)),
            ("mahalanobis", Gaussians.of(seen.features, labels)),
        ):
            yield name, (fitted.score(own.features), fitted.score(foreign.features))


def _list_images(folder: Path, notes: list[str]) -> Samples:
    """Return all images below a folder. Raises: DataError: it is no folder, or there is none in it."""
    if not folder.is_dir():
        raise DataError(f"ood.folder={folder} is no folder. Name one with images of something else.")
    walk = Walk(inside=[str(folder.resolve())])
    (paths,) = walk.files([str(folder)])
    if not paths:
        raise DataError(f"ood.folder={folder} holds no image{walk.why_empty(str(folder))}.")
    notes += walk.notes()
    return Samples(
        names=paths, images=FileImages([Path(path) for path in paths]), labels=np.zeros(len(paths), dtype=np.int64)
    )


def _check_enough(seen: Seen, *, what: str) -> None:
    if len(seen.places) < FEWEST:
        first = f"; {len(seen.broken)} cannot be read, first {seen.broken[0]}" if seen.broken else ""
        raise DataError(
            f"{what}: {len(seen.places)} images are too few to say what the network makes of them; give {FEWEST} or "
            f"more{first}."
        )


def _count(seen: Seen, *, listed: bool = False) -> dict[str, Any]:
    count: dict[str, Any] = {"num_samples": len(seen.places), "num_broken": len(seen.broken)}
    if listed:
        count["broken"] = [
            {"path": visible(error.path), "code": error.code, "detail": error.detail}
            for error in seen.broken[:MOST_LISTED]
        ]
    return count


def _report(found: dict[str, Any]) -> None:
    foreign, own = found["foreign"], found["own"]
    broken = f" ({foreign['num_broken']} more cannot be read)" if foreign["num_broken"] else ""
    log.info("%s foreign images%s against %s own ones:", foreign["num_samples"], broken, own["num_samples"])
    for score in found["scores"]:
        log.info(
            "  %s: AUROC %.3f, %.1f%% pass with 95%% of the own",
            score["name"],
            score["auroc"],
            100 * score["fpr_at_95_tpr"],
        )
    for note in found["notes"]:
        log.info("Note: %s", note)
