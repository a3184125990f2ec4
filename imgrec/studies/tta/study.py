"""The study `tta`: accuracy with and without test-time augmentation, their paired difference, and the cost."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imgrec.core.config.checks import check_number
from imgrec.core.files.json_file import write_json
from imgrec.errors import ConfigError, ImgrecError
from imgrec.evaluation.decisions.probabilities import to_probabilities
from imgrec.evaluation.metrics.gain import measure_gain
from imgrec.evaluation.metrics.shares import independence_notes, shares_of
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.level import LEVEL
from imgrec.models.inference import infer
from imgrec.studies.study import Subject
from imgrec.studies.tta.views import View, take_view, views_of

__all__ = ["TestTimeAugmentation"]

log = logging.getLogger("imgrec")

FORMAT = 1


class TestTimeAugmentation:
    """Averages the probabilities over several views of each image (Krizhevsky et al. 2012, section 4.1).

    Probabilities are averaged, not logits: a view with very large logits counts no more than any other.

    Args:
        mirror: Whether each view is also used mirrored.
        shift: How far views are shifted along both diagonals, as a share of the side, 0 to 0.5; 0 for not at all.
        scales: Zoom factors of the views, 1 to 4; 1, the plain image, must be among them.
        seed: Of the bootstrap behind the interval of the difference.

    Raises:
        ConfigError: A value out of range, or one view only.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of the name

    def __init__(
        self, mirror: bool = True, shift: float = 0.0, scales: Sequence[float] = (1.0,), seed: int = 1
    ) -> None:
        check_number("tta.shift", shift, at_least=0, below=0.5)
        for scale in scales:
            check_number("tta.scales", scale, at_least=1, at_most=4)
        if 1 not in scales:
            raise ConfigError(f"tta.scales={list(scales)}: 1, the plain image, must be among them.")
        self.views = views_of(mirror=mirror, shift=shift, scales=sorted(set(scales)))
        if len(self.views) < 2:
            raise ConfigError("tta has the plain view only. Set tta.mirror=true, tta.shift or tta.scales.")
        self.seed = seed

    def __call__(self, subject: Subject, /) -> None:
        """Write tta.json and predictions_tta.parquet. Raises: ImageError: An image cannot be read."""
        plain = subject.predictions
        logits, cost = _averaged_logits(subject, self.views)
        averaged = dataclasses.replace(
            plain,
            logits=logits,
            temperature=1.0,  # the averaged probabilities are calibrated already
            provenance={**plain.provenance, "tta": f"{len(self.views)} views"},
        )
        write_parquet(averaged, subject.folder / "predictions_tta.parquet")
        found = compare_views(plain, averaged, seed=self.seed)
        about = {
            "format": FORMAT,
            "task": plain.task,
            "split": subject.split,
            "average": "probabilities",
            "views": [dataclasses.asdict(view) for view in self.views],
        }
        write_json(subject.folder / "tta.json", {**about, **found, "cost": cost})
        _report(found, cost, subject.folder)


def compare_views(plain: Predictions, averaged: Predictions, *, seed: int) -> dict[str, Any]:
    """Return accuracy (micro F1 with several labels) of both, their paired difference and how many images changed."""
    before, after = shares_of(plain), shares_of(averaged)
    scores = {"plain": before.estimate(), "tta": after.estimate()}
    difference = measure_gain(before, after, seed=seed)
    is_correct = [_is_correct(one) for one in (plain, averaged)]
    return {
        "score": before.name,
        "confidence_level": LEVEL,
        "num_samples": len(plain),
        **{name: {"score": one.value, "low": one.low, "high": one.high} for name, one in scores.items()},
        "difference": dataclasses.asdict(difference),
        "num_mended": int((~is_correct[0] & is_correct[1]).sum()),
        "num_spoiled": int((is_correct[0] & ~is_correct[1]).sum()),
        "verdict": _verdict(difference.low, difference.high),
        "notes": independence_notes(plain),
    }


def _verdict(low: float, high: float) -> str:
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference found"


def _is_correct(predictions: Predictions) -> NDArray[np.bool_]:
    same = predictions.predicted == predictions.labels
    return np.asarray(same if same.ndim == 1 else same.all(axis=1))


def _averaged_logits(subject: Subject, views: Sequence[View]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the logits of the averaged probabilities, float32 (N, C), and the cost compared with one view.

    The plain view is run again, although its logits are known: its time is what the cost is compared with.
    """
    data, shape = subject.data, subject.predictions.logits.shape
    logits = np.empty(shape, dtype=np.float32)
    plain_s, last = 0.0, time.perf_counter()
    start = last
    for batch in data.eval_dataloader(subject.split):
        if isinstance(batch, ImgrecError):
            raise batch
        images = batch["images"].to(subject.device)
        total = _probabilities(subject, images)  # the first view: the plain image
        plain_s += time.perf_counter() - last
        for view in views[1:]:
            total += _probabilities(subject, take_view(images, view))
        logits[batch["indices"].numpy()] = _as_logits(total / len(views), task=subject.predictions.task)
        last = time.perf_counter()
    seconds = time.perf_counter() - start
    cost = {"forward_passes": len(views), "plain_s": plain_s, "tta_s": seconds, "time_ratio": seconds / plain_s}
    return logits, cost


def _probabilities(subject: Subject, images: Tensor) -> NDArray[np.float64]:
    logits = infer(subject.network, [images], device=subject.device).logits
    return to_probabilities(logits, task=subject.predictions.task, temperature=subject.predictions.temperature)


def _as_logits(probabilities: NDArray[np.float64], *, task: str) -> NDArray[np.float32]:
    """Return logits (N, C) whose softmax, with several labels whose sigmoid, is `probabilities`."""
    tiny = np.finfo(np.float64).tiny
    certain = np.log(np.maximum(probabilities, tiny))
    if task == "single":
        return certain.astype(np.float32)
    return (certain - np.log(np.maximum(1 - probabilities, tiny))).astype(np.float32)


def _report(found: dict[str, Any], cost: dict[str, Any], folder: Path) -> None:
    difference = found["difference"]
    log.info(
        "TTA: %s %.4f, plain %.4f (difference %+.4f, 95%% interval %+.4f to %+.4f: %s), %d forward passes "
        "per image, %.1f times the time: %s",
        found["score"].replace("_", " "),
        found["tta"]["score"],
        found["plain"]["score"],
        difference["difference"],
        difference["low"],
        difference["high"],
        found["verdict"],
        cost["forward_passes"],
        cost["time_ratio"],
        folder / "predictions_tta.parquet",
    )
