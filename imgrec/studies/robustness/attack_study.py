"""The study `robustness=attack`: accuracy under noise, FGSM, PGD and RayS at several eps, as attack.json."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrec.core.config.checks import check_count, check_number
from imgrec.core.files.json_file import write_json
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.dataset import ImageDataset
from imgrec.errors import ConfigError, ImgrecError
from imgrec.evaluation.metrics.shares import independence_notes
from imgrec.studies.robustness.attack import Norm, add_noise, fgsm, gradient, pgd, unit_noise
from imgrec.studies.robustness.attack_card import Trial, make_attack_card
from imgrec.studies.robustness.rays import rays
from imgrec.studies.robustness.subsample import stratified_sample
from imgrec.studies.study import Subject

__all__ = ["Attack"]

log = logging.getLogger("imgrec")

NOISE_DRAWS = 5
UNBOUNDED = 100  # images for the check with eps = 1
STEP_SHARE = 2.5  # length of all steps together, in eps, as Madry et al. 2018: any point of the ball can be reached
SAME = 1e-4  # gray values: floating-point tolerance of equal sizes
NORMS: tuple[Norm, ...] = ("linf", "l2")
NAMES = ("noise", "fgsm", "pgd")
TITLES = {"pgd": "PGD", "rays": "RayS"}

Place = tuple[Norm, str, float]
"""Norm, attack, eps."""


class Attack:
    """Attacks the preprocessed images and measures the accuracy that is left.

    Args:
        linf_255: Largest changes of any value, in gray values of 255; may be empty.
        l2: Euclidean distances, of images with values of 0 to 1; may be empty.
        steps: Of PGD.
        restarts: Of PGD.
        num_images: Size of a stratified sample; None for all images.
        rounded: Whether only images with 8-bit values count as adversarial.
        seed: Of the sample and the random starts.
        queries: Forward passes per image of RayS at most; 0 to skip RayS. It runs for `linf_255` only.

    Raises:
        ConfigError: A value out of range, or both lists of sizes empty.
    """

    def __init__(
        self,
        linf_255: Sequence[float] = (0.5, 1, 2, 4, 8),
        l2: Sequence[float] = (0.1, 0.25, 0.5, 1),
        steps: int = 10,
        restarts: int = 1,
        num_images: int | None = 500,
        rounded: bool = False,
        seed: int = 1,
        queries: int = 300,
    ) -> None:
        check_count("robustness.steps", steps, at_least=1)
        check_count("robustness.queries", queries, at_least=0)
        check_count("robustness.restarts", restarts, at_least=1)
        if num_images is not None:
            check_count("robustness.num_images", num_images, at_least=2)
        for key, values in (("linf_255", linf_255), ("l2", l2)):
            for value in values:
                check_number(f"robustness.{key}", value, above=0)
        if not (linf_255 or l2):
            raise ConfigError("robustness.linf_255 and robustness.l2 are both empty. Give sizes of change, as [1, 4].")
        linf = sorted(value / 255 for value in linf_255)
        self.eps: dict[Norm, list[float]] = {"linf": linf, "l2": sorted(map(float, l2))}
        self.steps = steps
        self.restarts = restarts
        self.num_images = num_images
        self.rounded = rounded
        self.seed = seed
        self.queries = queries if linf_255 else 0

    def check(self, data: ImageDataModule, /) -> None:
        """Check the task. Raises: ConfigError: The images have several labels each."""
        _check_task(data.splits.task)

    def __call__(self, subject: Subject, /) -> None:
        """Write attack.json. Raises: ConfigError: Several labels per image. ImageError: An unreadable image."""
        predictions = subject.predictions
        _check_task(predictions.task)
        chosen = stratified_sample(predictions.labels, self.num_images, seed=self.seed)
        start = time.perf_counter()
        found = self._run(subject, chosen)
        card = make_attack_card(
            self._trials(found),
            clean_correct=np.asarray(predictions.predicted == predictions.labels)[chosen],
            num_classes=len(predictions.class_names),
            unbounded_correct=found.unbounded_correct,
            num_zero_gradients=int(found.has_zero_gradient.sum()),
        )
        about = {
            "task": predictions.task,
            "split": subject.split,
            "seed": self.seed,
            "num_available": len(predictions),
            "is_rounded": self.rounded,
            "max_queries": self.queries,
            "mean_queries": float(found.num_queries.mean()),
            "notes": independence_notes(predictions),
            "seconds": time.perf_counter() - start,
        }
        write_json(subject.folder / "attack.json", {**card, **about})
        _report(card)

    def _run(self, subject: Subject, chosen: NDArray[np.int64]) -> "_Found":
        """Run all attacks on the images `chosen` of the split."""
        data = subject.data
        dataset = ImageDataset(data.split(subject.split).subset(chosen), preprocess=data.preprocess)
        found = _Found.of(self._places(), num_images=len(chosen))
        with closing(ProgressLine(sys.stderr)) as progress:
            for batch in _batches(dataset, subject, chosen, batch_size=data.eval_batch_size):
                rows = np.searchsorted(chosen, batch.keys)
                direction = gradient(subject.network, batch.images, batch.labels)
                found.has_zero_gradient[rows] = (direction.flatten(1).abs().amax(dim=1) == 0).cpu().numpy()
                if rows[0] < UNBOUNDED:
                    some = batch.take(torch.arange(min(len(rows), UNBOUNDED - int(rows[0]))))
                    starts = self._noise("linf", some, range(self.restarts))
                    broken = self._broken("pgd", subject, some, norm="linf", eps=1.0, noise=starts)
                    found.unbounded_correct[rows[: len(broken)]] = ~broken
                for place, is_correct in self._attacked(subject, batch):
                    found.is_correct[place][rows] = is_correct
                if self.queries:
                    found.radius_255[rows], found.num_queries[rows] = self._radii(subject, batch)
                progress.update(int(rows[-1]) + 1, len(chosen))
        return found

    def _places(self) -> Iterator[Place]:
        return ((norm, name, eps) for norm in NORMS for eps in self.eps[norm] for name in NAMES)

    def _trials(self, found: "_Found") -> list[Trial]:
        trials = [self._trial(*place, found.is_correct[place]) for place in self._places()]
        if self.queries:
            trials += [
                self._trial("linf", "rays", eps, found.radius_255 > eps * 255 + SAME) for eps in self.eps["linf"]
            ]
        return trials

    def _attacked(self, subject: Subject, batch: "_Batch") -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        """Yield for each trial which predictions are still correct; what a smaller eps breaks stays broken."""
        for norm in NORMS:
            starts = self._noise(norm, batch, range(self.restarts))
            noise = {"noise": self._noise(norm, batch, range(-NOISE_DRAWS, 0)), "fgsm": [], "pgd": starts}
            still = {name: np.ones(len(batch.keys), dtype=bool) for name in NAMES}
            for eps in self.eps[norm]:
                for name in NAMES:
                    left = torch.from_numpy(np.flatnonzero(still[name]))
                    own = [one[left] for one in noise[name]]
                    if len(left):
                        broken = self._broken(name, subject, batch.take(left), norm=norm, eps=eps, noise=own)
                        still[name][left.numpy()] = ~broken
                    yield (norm, name, eps), still[name].copy()

    def _broken(
        self, name: str, subject: Subject, batch: "_Batch", *, norm: Norm, eps: float, noise: Sequence[Tensor]
    ) -> NDArray[np.bool_]:
        """Run one attack; return which images it broke."""
        what = (subject.network, batch.images, batch.labels)
        if name == "noise":
            found = add_noise(*what, norm=norm, eps=eps, draws=noise, rounded=self.rounded)
        elif name == "fgsm":
            found = fgsm(*what, norm=norm, eps=eps, rounded=self.rounded)
        else:
            size = STEP_SHARE * eps / self.steps
            found = pgd(
                *what, norm=norm, eps=eps, steps=self.steps, step_size=size, starts=noise, rounded=self.rounded
            )  # fmt: skip
        return np.asarray(found.is_broken.cpu().numpy())

    def _radii(self, subject: Subject, batch: "_Batch") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the radius that RayS found for each image, in gray values, and its number of queries."""
        least = self.eps["linf"][0] * 255
        found = rays(
            subject.network, batch.images, batch.labels,
            queries=self.queries, enough_255=least, rounded=self.rounded,
        )  # fmt: skip
        return found.radius_255.cpu().numpy(), found.num_queries.cpu().numpy()

    def _noise(self, norm: Norm, batch: "_Batch", draws: Sequence[int]) -> list[Tensor]:
        shape = (batch.images.shape[1], batch.images.shape[2], batch.images.shape[3])
        keys = [[(self.seed, NORMS.index(norm), NOISE_DRAWS + draw, int(key)) for key in batch.keys] for draw in draws]
        return [unit_noise(own, shape, norm=norm).to(batch.images.device) for own in keys]

    def _trial(self, norm: str, name: str, eps: float, is_correct: NDArray[np.bool_]) -> Trial:
        steps = {"noise": 0, "fgsm": 1, "pgd": self.steps, "rays": self.queries}[name]
        restarts = {"noise": NOISE_DRAWS, "fgsm": 1, "pgd": self.restarts, "rays": 1}[name]
        return Trial(norm, name, eps, steps, restarts, is_correct)


@dataclass(frozen=True)
class _Found:
    """What the attacks found for N images; `unbounded_correct` for the first `UNBOUNDED` of them."""

    is_correct: Mapping[Place, NDArray[np.bool_]]
    unbounded_correct: NDArray[np.bool_]
    has_zero_gradient: NDArray[np.bool_]
    radius_255: NDArray[np.float64]
    num_queries: NDArray[np.int64]

    @classmethod
    def of(cls, places: Iterable[Place], *, num_images: int) -> "_Found":
        return cls(
            is_correct={place: np.zeros(num_images, dtype=bool) for place in places},
            unbounded_correct=np.zeros(min(num_images, UNBOUNDED), dtype=bool),
            has_zero_gradient=np.zeros(num_images, dtype=bool),
            radius_255=np.zeros(num_images),
            num_queries=np.zeros(num_images, dtype=np.int64),
        )


@dataclass(frozen=True)
class _Batch:
    """keys: places in the split, int64 (N,). images: float32 (N, 3, H, W), 0 to 1. labels: int64 (N,)."""

    keys: NDArray[np.int64]
    images: Tensor
    labels: Tensor

    def take(self, places: Tensor) -> "_Batch":
        """Return the images at `places` of the batch."""
        return _Batch(self.keys[places.numpy()], self.images[places], self.labels[places])


def _batches(
    dataset: ImageDataset, subject: Subject, chosen: NDArray[np.int64], *, batch_size: int
) -> Iterator[_Batch]:
    """Yield the images of `dataset`, whose places are `chosen`. Raises: ImageError: An unreadable image."""
    for first in range(0, len(dataset), batch_size):
        batch = dataset[[(place, 0) for place in range(first, min(first + batch_size, len(dataset)))]]
        if isinstance(batch, ImgrecError):
            raise batch
        images = batch["images"].to(subject.device).float() / 255
        yield _Batch(chosen[batch["indices"].numpy()], images, batch["labels"].to(subject.device))


def _check_task(task: str) -> None:
    if task != "single":
        raise ConfigError(
            "robustness=attack is for one label per image; these have several. Use robustness=corruptions."
        )


def _report(card: dict[str, Any]) -> None:
    clean = card["clean"]["score"]
    for norm, attack in [(norm, attack) for norm in card["norms"] for attack in TITLES]:
        cells = [cell for cell in norm["cells"] if cell["attack"] == attack]
        size = [f"{cell['eps_255']:g}/255" if norm["norm"] == "linf" else f"{cell['eps']:g}" for cell in cells]
        scores = ", ".join(f"{cell['score']:.3f} at {eps}" for cell, eps in zip(cells, size, strict=True))
        if scores:
            log.info("%s %s: accuracy %.3f clean, %s", TITLES[attack], norm["norm"], clean, scores)
    for check in card["checks"]:
        if not check["passed"]:
            log.warning(
                "Attack: check failed: %s (%s). The accuracies under attack are not reliable.",
                check["name"],
                check["detail"],
            )
