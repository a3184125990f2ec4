"""The study `robustness=corruptions`: accuracy under 15 common corruptions at 5 severities, as robustness.json."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.core.config.checks import check_count
from imgrec.core.files.json_file import write_json
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.dataset import ImageDataset
from imgrec.evaluation.metrics.shares import independence_notes
from imgrec.studies.robustness.card import against_baseline, make_card, read_baseline
from imgrec.studies.robustness.cells import predict_cells
from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES
from imgrec.studies.robustness.corruption.corrupt import SMALL_PX
from imgrec.studies.robustness.subsample import stratified_sample
from imgrec.studies.study import Subject

__all__ = ["Corruptions"]

log = logging.getLogger("imgrec")

_METRICS = {"single": "accuracy", "multilabel": "micro_f1"}


class Corruptions:
    """Corrupts the preprocessed images and evaluates the model on each corruption and severity.

    Args:
        num_images: Size of a stratified sample, used for every corruption and severity; None for all images.
        seed: Of the sample and of the corruptions.
        baseline: The robustness.json of another model on the same data, for corruption errors relative to it.

    Raises:
        ConfigError: A value out of range.
    """

    def __init__(self, num_images: int | None = 2000, seed: int = 1, baseline: str | None = None) -> None:
        if num_images is not None:
            check_count("robustness.num_images", num_images, at_least=2)
        self.num_images = num_images
        self.seed = seed
        self.baseline = None if baseline is None else Path(baseline)

    def check(self, data: ImageDataModule, /) -> None:
        """Check the baseline. Raises: ConfigError: It cannot be compared with."""
        self._read_baseline(data.splits.task)

    def _read_baseline(self, task: str) -> dict[str, Any] | None:
        return None if self.baseline is None else read_baseline(self.baseline, metric=_METRICS[task])

    def __call__(self, subject: Subject, /) -> None:
        """Write robustness.json. Raises: ConfigError: An unsuitable baseline. ImageError: An unreadable image."""
        predictions, data = subject.predictions, subject.data
        metric, baseline = _METRICS[predictions.task], self._read_baseline(predictions.task)
        chosen = stratified_sample(predictions.labels, self.num_images, seed=self.seed)
        dataset = ImageDataset(data.split(subject.split).subset(chosen), preprocess=data.preprocess)
        height, width = dataset.image(0, 0).shape[:2]
        start = time.perf_counter()
        predicted = predict_cells(
            subject.network,
            dataset,
            [(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES],
            keys=chosen.tolist(),
            seed=self.seed,
            device=subject.device,
            batch_size=data.eval_batch_size,
            num_workers=data.num_workers if isinstance(data.num_workers, int) else None,
            timeout_s=data.timeout_s,
            multilabel=predictions.task == "multilabel",
        )
        seconds = time.perf_counter() - start
        card = make_card(predictions.labels[chosen], np.asarray(predictions.predicted)[chosen], predicted)
        card = card if baseline is None else against_baseline(card, baseline)
        about = {
            "task": predictions.task,
            "split": subject.split,
            "seed": self.seed,
            "num_available": len(predictions),
            "height_px": height,
            "width_px": width,
            "parameters": "CIFAR-10-C" if min(height, width) < SMALL_PX else "ImageNet-C",
            "baseline": None if self.baseline is None else str(self.baseline),
            "notes": independence_notes(predictions),
            "seconds": seconds,
        }
        write_json(subject.folder / "robustness.json", {**card, **about})
        log.info(
            "Corruptions: %s %.4f clean, mean %.4f over %d corruptions and severities (mean relative drop %.1f %%), "
            "%d images, %.0f s. Lowest: %s.",
            metric.replace("_", " "),
            card["clean"]["score"],
            card["mean_score"],
            len(card["cells"]),
            100 * card["mean_relative_drop"],
            len(chosen),
            seconds,
            _lowest(card),
        )


def _lowest(card: dict[str, Any]) -> str:
    rows = sorted(card["corruptions"], key=lambda row: float(row["score"]))[:3]
    return ", ".join(f"{row['corruption']} {row['score']:.3f}" for row in rows)
