"""`python evaluate.py explain=gradcam`: maps of the worst mistakes and of some images that are right, all checked."""

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
    """Explains some images of an evaluation: writes explain.json and a panel for each into the folder explain/.

    method: makes the maps. num_mistakes: the worst mistakes, as the report has them: the surest; num_right: right ones,
    from the surest to the least sure. Each map is for the predicted class: it asks why the network said so. With
    several labels per image it is for the surest label that was said wrongly; where there is none, the most probable.
    baseline, num_random, seed, batch_size: see `Examiner`.
    Raises: ConfigError: a value that cannot be.
    """

    def __init__(
        self,
        method: Method,
        *,
        num_mistakes: int = 8,
        num_right: int = 4,
        baseline: str = "blurred",
        num_random: int = 9,
        seed: int = 1,
        batch_size: int = 32,
    ) -> None:
        check_count("explain.num_mistakes", num_mistakes, at_least=0)
        check_count("explain.num_right", num_right, at_least=0)
        check_count("explain.num_mistakes + explain.num_right", num_mistakes + num_right, at_least=1)
        check_choice("explain.baseline", baseline, BASELINES)
        check_count("explain.num_random", num_random, at_least=1)
        check_count("explain.batch_size", batch_size, at_least=1)
        self.method = method
        self.num_mistakes = num_mistakes
        self.num_right = num_right
        self.options: dict[str, Any] = {
            "baseline": baseline, "num_random": num_random, "seed": seed, "batch_size": batch_size,
        }  # fmt: skip

    def check(self, data: ImageDataModule, /) -> None:
        """Look whether the method has what it needs. Raises: MissingExtraError."""
        del data
        if isinstance(self.method, IntegratedGradients):
            captum()

    def __call__(self, subject: Subject, /) -> None:
        """Write maps and checks into the folder of the evaluation. Raises: ImgrecError, as the method does."""
        predictions = subject.predictions
        from_logits = partial(to_probabilities, task=predictions.task, temperature=predictions.temperature)
        examiner = Examiner(subject.network, methods=[self.method], from_logits=from_logits, **self.options)
        data = subject.data
        images = ImageDataset(data.split(subject.split), preprocess=data.preprocess)
        rows = []
        for number, place in enumerate(chosen_images(predictions, self.num_mistakes, self.num_right)):
            image: UInt8Array = images.image(place, 0)
            shown, target = _shown(predictions, place)
            (found,) = examiner(image, target=target)
            png = f"{FOLDER}/{number:04d}-{self.method.name}.png"
            save_png(draw_panel(found, caption_of(shown, found)), subject.folder / png)
            rows.append(image_record(found, shown, png=png))
        settings = {key: self.options[key] for key in ("baseline", "num_random", "seed")}
        content = write_explanations(subject.folder, rows, settings=settings)
        summary = content["summary"]
        log.info("Maps by %s are %s: %s.", self.method.name, summary["verdict"], summary["reason"])
        log.info("Explained: %s (explain.json, explain/*.png)", subject.folder)


def chosen_images(predictions: Predictions, num_mistakes: int, num_right: int) -> list[int]:
    """Return the places of the worst mistakes, the worst first, then of right ones spread over their confidence."""
    wrong = worst_mistakes(predictions)
    order = np.argsort(-predictions.probabilities.max(axis=1), kind="stable")
    right = order[~np.isin(order, wrong)]
    spread = np.unique(np.linspace(0, len(right) - 1, min(num_right, len(right))).round().astype(np.int64))
    return [*wrong[:num_mistakes].tolist(), *right[spread].tolist()]


def _shown(predictions: Predictions, place: int) -> tuple[Shown, int]:
    """Return what is known of an image, and the class whose map is made."""
    names = predictions.class_names
    probabilities = predictions.probabilities[place]
    target = int(probabilities.argmax())
    if predictions.task == "single":
        label: str | list[str] = names[int(predictions.labels[place])]
        prediction: str | list[str] = names[int(predictions.predicted[place])]
    else:
        is_alarm = (predictions.predicted[place] == 1) & (predictions.labels[place] == 0)
        target = int(np.where(is_alarm, probabilities, 0).argmax()) if is_alarm.any() else target
        label, prediction = (_named(row[place], names) for row in (predictions.labels, predictions.predicted))
    return Shown(predictions.names[place], label, prediction, float(probabilities[target]), names[target]), target


def _named(flags: NDArray[Any], names: Any) -> list[str]:
    return [names[index] for index in np.flatnonzero(flags)]
