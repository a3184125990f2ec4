"""The study `explain`: saliency maps of the worst mistakes and of some correct predictions, each checked."""

import logging
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_choice, check_count
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.dataset import ImageDataset
from imgrec.evaluation.decisions.probabilities import to_probabilities
from imgrec.evaluation.figures.choose import worst_mistakes
from imgrec.evaluation.figures.figures import save_png
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.studies.explain.arrays import UInt8Array
from imgrec.studies.explain.baseline import BASELINES
from imgrec.studies.explain.examine import Examiner
from imgrec.studies.explain.methods import IntegratedGradients, Method, captum
from imgrec.studies.explain.panel import caption_of, draw_panel
from imgrec.studies.explain.record import Shown, image_record, write_explanations
from imgrec.studies.study import Subject

__all__ = ["ExplainStudy", "chosen_images"]

log = logging.getLogger("imgrec")

FOLDER = "explain"  # of the panels, beside explain.json


class ExplainStudy:
    """Explains some predictions of an evaluation: writes explain.json and a panel for each into the folder explain/.

    Each map is for the predicted class. With several labels per image it is for the most probable of the
    incorrectly predicted labels; where there is none, for the most probable label.

    Args:
        method: Makes the maps.
        num_mistakes: Worst mistakes: incorrect predictions with the highest confidence, as in the report.
        num_correct: Correct predictions, evenly spaced from the highest to the lowest confidence.
        baseline: See `Examiner`.
        num_random: See `Examiner`.
        seed: See `Examiner`.
        batch_size: See `Examiner`.

    Raises:
        ConfigError: A value out of range.
    """

    def __init__(
        self,
        method: Method,
        *,
        num_mistakes: int = 8,
        num_correct: int = 4,
        baseline: str = "blurred",
        num_random: int = 9,
        seed: int = 1,
        batch_size: int = 32,
    ) -> None:
        check_count("explain.num_mistakes", num_mistakes, at_least=0)
        check_count("explain.num_correct", num_correct, at_least=0)
        check_count("explain.num_mistakes + explain.num_correct", num_mistakes + num_correct, at_least=1)
        check_choice("explain.baseline", baseline, BASELINES)
        check_count("explain.num_random", num_random, at_least=1)
        check_count("explain.batch_size", batch_size, at_least=1)
        self.method = method
        self.num_mistakes = num_mistakes
        self.num_correct = num_correct
        self.options: dict[str, Any] = {
            "baseline": baseline, "num_random": num_random, "seed": seed, "batch_size": batch_size,
        }  # fmt: skip

    def check(self, data: ImageDataModule, /) -> None:
        """Check the method. Raises: MissingExtraError: It needs a package that is not installed."""
        del data
        if isinstance(self.method, IntegratedGradients):
            captum()

    def __call__(self, subject: Subject, /) -> None:
        """Write explain.json and panels. Raises: ConfigError: The method does not fit the model. ImageError."""
        predictions = subject.predictions
        from_logits = partial(to_probabilities, task=predictions.task, temperature=predictions.temperature)
        examiner = Examiner(subject.network, methods=[self.method], from_logits=from_logits, **self.options)
        data = subject.data
        images = ImageDataset(data.split(subject.split), preprocess=data.preprocess)
        rows = []
        for number, place in enumerate(chosen_images(predictions, self.num_mistakes, self.num_correct)):
            image: UInt8Array = images.image(place, 0)
            shown, target = _describe(predictions, place)
            (found,) = examiner(image, target=target)
            png = f"{FOLDER}/{number:04d}-{self.method.name}.png"
            save_png(draw_panel(found, caption_of(shown, found)), subject.folder / png)
            rows.append(image_record(found, shown, png=png))
        settings = {key: self.options[key] for key in ("baseline", "num_random", "seed")}
        content = write_explanations(subject.folder, rows, settings=settings)
        summary = content["summary"]
        log.info("Saliency maps by %s are %s: %s.", self.method.name, summary["verdict"], summary["reason"])
        log.info("Saliency maps: %s (explain.json, explain/*.png)", subject.folder)


def chosen_images(predictions: Predictions, num_mistakes: int, num_correct: int) -> list[int]:
    """Return the places of the worst mistakes, then of correct predictions, evenly spaced by confidence."""
    mistakes = worst_mistakes(predictions)
    order = np.argsort(-predictions.probabilities.max(axis=1), kind="stable")
    correct = order[~np.isin(order, mistakes)]
    spread = np.unique(np.linspace(0, len(correct) - 1, min(num_correct, len(correct))).round().astype(np.int64))
    return [*mistakes[:num_mistakes].tolist(), *correct[spread].tolist()]


def _describe(predictions: Predictions, place: int) -> tuple[Shown, int]:
    """Return label and prediction of an image, and the class to explain."""
    names = predictions.class_names
    probabilities = predictions.probabilities[place]
    target = int(probabilities.argmax())
    if predictions.task == "single":
        label: str | list[str] = names[int(predictions.labels[place])]
        prediction: str | list[str] = names[int(predictions.predicted[place])]
    else:
        is_false_positive = (predictions.predicted[place] == 1) & (predictions.labels[place] == 0)
        target = int(np.where(is_false_positive, probabilities, 0).argmax()) if is_false_positive.any() else target
        label, prediction = (_named(row[place], names) for row in (predictions.labels, predictions.predicted))
    return Shown(predictions.names[place], label, prediction, float(probabilities[target]), names[target]), target


def _named(flags: NDArray[Any], names: Any) -> list[str]:
    return [names[index] for index in np.flatnonzero(flags)]
