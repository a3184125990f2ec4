"""The study `robustness=attack`: noise, FGSM, PGD and RayS at several sizes of change, as attack.json."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
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
BOUNDLESS = 100  # images for the check with eps = 1
STEP_SHARE = 2.5  # of eps that all steps together can go; Madry et al. 2018 reach the border of the ball with it
SAME = 1e-4  # gray values: what floating point makes of the same size of change
NORMS: tuple[Norm, ...] = ("linf", "l2")
NAMES = ("noise", "fgsm", "pgd")
TOLD = {"pgd": "PGD", "rays": "RayS"}


class Attack:
    """Attacks what the network sees and writes how often it is still right.

    linf_255: the largest change of any value, in gray values of 255, of each trial. l2: the Euclidean distances, of
    images whose values are 0 to 1. Either may be empty. steps, restarts: of PGD. num_images: a stratified sample;
    None = all. rounded: whether only images that an 8-bit file can hold count. seed: of the sample and the starts.
    queries: of RayS, about each image at most; 0 = leave RayS out. It is for `linf_255` alone.
    Raises: ConfigError: a value that does not fit; when called: several labels per image.
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
        """Look at the task. Raises: ConfigError: the images have several labels each."""
        _check_task(data.splits.task)

    def __call__(self, subject: Subject, /) -> None:
        """Write attack.json. Raises: ConfigError: the images have several labels each."""
        predictions, data = subject.predictions, subject.data
        _check_task(predictions.task)
        chosen = stratified_sample(predictions.labels, self.num_images, seed=self.seed)
        dataset = ImageDataset(data.split(subject.split).subset(chosen), preprocess=data.preprocess)
        start = time.perf_counter()
        places = [(norm, eps) for norm in NORMS for eps in self.eps[norm]]
        is_right = {(norm, name, eps): np.zeros(len(chosen), dtype=bool) for norm, eps in places for name in NAMES}
        without_slope, boundless = 0, [np.zeros(0, dtype=bool)]
        radius_255, num_queries = np.zeros(len(chosen)), np.zeros(len(chosen), dtype=np.int64)
        with closing(ProgressLine(sys.stderr)) as progress:
            for victims in _batches(dataset, subject, chosen, batch_size=data.eval_batch_size):
                rows = np.searchsorted(chosen, victims.keys)
                slope = gradient(subject.network, victims.images, victims.labels)
                without_slope += int((slope.flatten(1).abs().amax(dim=1) == 0).sum())
                if rows[0] < BOUNDLESS:
                    some = victims.take(torch.arange(min(len(rows), BOUNDLESS - int(rows[0]))))
                    starts = self._noise("linf", some, range(self.restarts))
                    boundless.append(~self._broken("pgd", subject, some, norm="linf", eps=1.0, noise=starts))
                for place, found in self._attacked(subject, victims):
                    is_right[place][rows] = found
                if self.queries:
                    radius_255[rows], num_queries[rows] = self._shot(subject, victims)
                progress.update(int(rows[-1]) + 1, len(chosen))
        trials = [self._trial(norm, name, eps, is_right[norm, name, eps]) for norm, eps in places for name in NAMES]
        if self.queries:
            trials += [self._trial("linf", "rays", eps, radius_255 > eps * 255 + SAME) for eps in self.eps["linf"]]
        clean_right = np.asarray(predictions.predicted == predictions.labels)[chosen]
        card = make_attack_card(
            trials,
            clean_right=clean_right,
            num_classes=len(predictions.class_names),
            boundless=np.concatenate(boundless),
            num_without_slope=without_slope,
        )
        about = {
            "task": predictions.task,
            "split": subject.split,
            "seed": self.seed,
            "num_available": len(predictions),
            "is_rounded": self.rounded,
            "max_queries": self.queries,
            "mean_queries": float(num_queries.mean()),
            "notes": independence_notes(predictions),
            "seconds": time.perf_counter() - start,
        }
        write_json(subject.folder / "attack.json", {**card, **about})
        _tell(card)

    def _attacked(
        self, subject: Subject, victims: "_Victims"
    ) -> Iterator[tuple[tuple[Norm, str, float], NDArray[np.bool_]]]:
        """Yield for each trial which images are still right; what a smaller eps broke stays broken, being inside."""
        for norm in NORMS:
            starts = self._noise(norm, victims, range(self.restarts))
            noise = {"noise": self._noise(norm, victims, range(-NOISE_DRAWS, 0)), "fgsm": [], "pgd": starts}
            still = {name: np.ones(len(victims.keys), dtype=bool) for name in NAMES}
            for eps in self.eps[norm]:
                for name in NAMES:
                    left = torch.from_numpy(np.flatnonzero(still[name]))
                    own = [one[left] for one in noise[name]]
                    if len(left):
                        broken = self._broken(name, subject, victims.take(left), norm=norm, eps=eps, noise=own)
                        still[name][left.numpy()] = ~broken
                    yield (norm, name, eps), still[name].copy()

    def _broken(
        self, name: str, subject: Subject, victims: "_Victims", *, norm: Norm, eps: float, noise: Sequence[Tensor]
    ) -> NDArray[np.bool_]:
        """Run one attack; return which images it broke."""
        what = (subject.network, victims.images, victims.labels)
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

    def _shot(self, subject: Subject, victims: "_Victims") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what RayS found: the largest change of each image in gray values, and what it asked."""
        least = self.eps["linf"][0] * 255
        found = rays(
            subject.network, victims.images, victims.labels,
            queries=self.queries, enough_255=least, rounded=self.rounded,
        )  # fmt: skip
        return found.radius_255.cpu().numpy(), found.num_queries.cpu().numpy()

    def _noise(self, norm: Norm, victims: "_Victims", draws: Sequence[int]) -> list[Tensor]:
        shape = (victims.images.shape[1], victims.images.shape[2], victims.images.shape[3])
        keys = [
            [(self.seed, NORMS.index(norm), NOISE_DRAWS + draw, int(key)) for key in victims.keys] for draw in draws
        ]
        return [unit_noise(own, shape, norm=norm).to(victims.images.device) for own in keys]

    def _trial(self, norm: str, name: str, eps: float, is_right: NDArray[np.bool_]) -> Trial:
        steps = {"noise": 0, "fgsm": 1, "pgd": self.steps, "rays": self.queries}[name]
        restarts = {"noise": NOISE_DRAWS, "fgsm": 1, "pgd": self.restarts, "rays": 1}[name]
        return Trial(norm, name, eps, steps, restarts, is_right)


@dataclass(frozen=True)
class _Victims:
    """A batch. keys: places in the split, int64 (N,). images: float32 (N, 3, H, W), 0 to 1. labels: int64 (N,)."""

    keys: NDArray[np.int64]
    images: Tensor
    labels: Tensor

    def take(self, places: Tensor) -> "_Victims":
        """Return some of them."""
        return _Victims(self.keys[places.numpy()], self.images[places], self.labels[places])


def _batches(
    dataset: ImageDataset, subject: Subject, chosen: NDArray[np.int64], *, batch_size: int
) -> Iterator[_Victims]:
    """Yield the images of `dataset`, whose places are `chosen`. Raises: ImageError: one cannot be read."""
    for first in range(0, len(dataset), batch_size):
        batch = dataset[[(place, 0) for place in range(first, min(first + batch_size, len(dataset)))]]
        if isinstance(batch, ImgrecError):
            raise batch
        images = batch["images"].to(subject.device).float() / 255
        yield _Victims(chosen[batch["indices"].numpy()], images, batch["labels"].to(subject.device))


def _check_task(task: str) -> None:
    if task != "single":
        raise ConfigError("robustness=attack is for one label per image; these have several. Leave it out.")


def _tell(card: dict[str, Any]) -> None:
    clean = card["clean"]["score"]
    for norm, attack in [(norm, attack) for norm in card["norms"] for attack in TOLD]:
        cells = [cell for cell in norm["cells"] if cell["attack"] == attack]
        size = [f"{cell['eps_255']:g}/255" if norm["norm"] == "linf" else f"{cell['eps']:g}" for cell in cells]
        scores = ", ".join(f"{cell['score']:.3f} at {eps}" for cell, eps in zip(cells, size, strict=True))
        if scores:
            log.info("%s %s: accuracy %.3f clean, %s", TOLD[attack], norm["norm"], clean, scores)
    for check in card["checks"]:
        if not check["passed"]:
            log.warning("Attack: the check failed that %s (%s). Do not trust it.", check["name"], check["detail"])
