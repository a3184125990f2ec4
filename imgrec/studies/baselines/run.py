"""Every pair of features and model, fitted on the training split and evaluated on the test split."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgrec import __version__
from imgrec.core.text import listed
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Samples
from imgrec.errors import DataError
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models.network import ImageNetwork
from imgrec.studies.baselines.extract import Extracted, ImageFacts, Progress, extract, inspect_images
from imgrec.studies.baselines.features import choose_descriptor
from imgrec.studies.baselines.fit import Labelled, choose, class_scores, fit, proportional
from imgrec.studies.baselines.models import MODELS, TRIVIAL, Family, Scores
from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["FROZEN", "Baseline", "BaselineTable", "Plan", "run_baselines"]

FROZEN = "frozen"  # features of a model
FROZEN_MODEL = "logistic_regression"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Which baselines to fit, and on what.

    Attributes:
        features: Sets of features, each one or more of hog, lbp, color; ("frozen",) for those of `network`.
        models: Keys of `MODELS` for hand-crafted features; frozen features use logistic regression.
        scored: The split to evaluate on. Settings are chosen on "val", unless it is that.
        only: Indices of the images to evaluate on, those of the model in the same table; None for all.
        seed: Of sampling, folds and models.
        max_train: Training images at most, the classes in proportion; None for all.
        network: For frozen features.
        network_name: Name of frozen features.
    """

    features: Sequence[tuple[str, ...]]
    models: Sequence[str]
    scored: str = "test"
    only: Sequence[int] | None = None
    seed: int = 1
    max_train: int | None = None
    network: ImageNetwork | None = None
    network_name: str = ""


@dataclass(frozen=True)
class Baseline:
    """One pair of features and model. `fit_s` and `tune_s` are without the features."""

    name: str
    features: str
    model: str
    is_majority_class: bool
    num_features: int
    settings: Mapping[str, Any]
    chosen_on: str | None
    tried: Sequence[tuple[Mapping[str, Any], float]]
    fit_s: float
    tune_s: float
    feature_ms_per_image: float
    predict_ms_per_image: float
    size_bytes: int
    scores: Scores
    notes: Sequence[str]
    predictions: Predictions


@dataclass(frozen=True)
class BaselineTable:
    """All baselines of one data set, best first, with notes for the reader."""

    baselines: Sequence[Baseline]
    scored: str
    sizes: Mapping[str, int]
    class_names: Sequence[str]
    seed: int
    data_fingerprint: str
    facts: ImageFacts
    notes: Sequence[str] = field(default_factory=tuple)


def run_baselines(
    data: ImageDataModule, plan: Plan, *, progress: Progress | None = None, say: Say = lambda _: None
) -> BaselineTable:
    """Fit and evaluate all baselines. The evaluated split is used for features and evaluation only.

    Args:
        data: Its splits are used as they are.
        plan: Which baselines.
        progress: Called with the images done and the total.
        say: Called with a line for each step.

    Raises:
        DataError: Several labels per image, one class only, or images of several sizes or too small.
        MissingExtraError: scikit-image is not installed.
    """
    splits = _splits(data, plan)
    facts = inspect_images(splits["train"], data.preprocess)
    tables = {
        name: _describe(name, samples, data=data, plan=plan, facts=facts, progress=progress, say=say)
        for name, samples in splits.items()
    }
    baselines: list[Baseline] = []
    class_names = list(data.splits.class_names)
    for names, kinds in _pairs(plan):
        sides = _join(names, tables, splits)
        for model, family in kinds.items():
            say(f"{_feature_name(names, plan)} with {model}" if names else model)
            baselines.append(
                _baseline(names, model, family, sides, splits=splits, tables=tables, plan=plan, class_names=class_names)
            )
    return BaselineTable(
        baselines=sorted(baselines, key=lambda baseline: -float(np.mean(_is_correct(baseline.predictions)))),
        scored=plan.scored,
        sizes={name: len(samples) for name, samples in splits.items()},
        class_names=class_names,
        seed=plan.seed,
        data_fingerprint=data.fingerprint(),
        facts=facts,
        notes=_notes(splits, plan, facts, class_names),
    )


def _splits(data: ImageDataModule, plan: Plan) -> dict[str, Samples]:
    """Return the splits that are used, "train" reduced to `max_train`. Raises: DataError."""
    if data.splits.task == "multilabel":
        raise DataError(
            "The images have several labels each; baselines are for one label per image. Compare models with imgrec "
            "compare, or give a table with one label column."
        )
    train = data.split("train")
    found = np.unique(train.labels)
    if len(found) < 2:
        only = f" ({data.splits.class_names[int(found[0])]})" if len(found) else ""
        raise DataError(f"The training split has {len(found)} class{only}; classification needs two or more.")
    if plan.max_train is not None:
        train = train.subset(proportional(train.labels.astype(np.int64), plan.max_train, seed=plan.seed))
    scored = data.split(plan.scored)
    splits = {"train": train, plan.scored: scored if plan.only is None else scored.subset(plan.only)}
    if plan.scored != "val" and data.has_split("val") and len(data.split("val")):
        splits["val"] = data.split("val")
    if not len(splits[plan.scored]):
        raise DataError(f"The {plan.scored} split holds no images: there is nothing to evaluate on.")
    return splits


def _pairs(plan: Plan) -> list[tuple[tuple[str, ...], dict[str, Family]]]:
    """Return each set of features with its models; the trivial models have no features."""
    chosen = {name: MODELS[name] for name in plan.models}
    frozen = {FROZEN_MODEL: MODELS[FROZEN_MODEL]}
    return [*((names, frozen if names == (FROZEN,) else chosen) for names in plan.features), ((), TRIVIAL)]


def _describe(
    part: str,
    samples: Samples,
    *,
    data: ImageDataModule,
    plan: Plan,
    facts: ImageFacts,
    progress: Progress | None,
    say: Say,
) -> Extracted:
    names = list(dict.fromkeys(name for names in plan.features for name in names if name != FROZEN))
    descriptors = {
        name: choose_descriptor(name, height_width=facts.working_size, is_gray=facts.is_gray) for name in names
    }
    features: dict[str, FloatArray] = {}
    times: dict[str, float] = {}
    if descriptors:
        say(f"Features of {part}: {', '.join(names)}")
        made = extract(samples, preprocess=data.preprocess, facts=facts, descriptors=descriptors, progress=progress)
        features |= made.features
        times |= made.ms_per_image
    if plan.network is not None:
        from imgrec.studies.baselines.frozen import extract_frozen

        say(f"Features of {part}: {plan.network_name}")
        made = extract_frozen(plan.network, samples, name=FROZEN, preprocess=data.preprocess, progress=progress)
        features |= made.features
        times |= made.ms_per_image
    return Extracted(features, times)


def _join(
    names: tuple[str, ...], tables: Mapping[str, Extracted], splits: Mapping[str, Samples]
) -> dict[str, Labelled]:
    """Return the features of every split joined, each set divided by its mean length over the training split."""
    lengths = {name: float(np.linalg.norm(tables["train"].features[name], axis=1).mean()) or 1.0 for name in names}
    sides = {}
    for part, samples in splits.items():
        columns = [tables[part].features[name] / np.float32(lengths[name]) for name in names]
        features = np.concatenate(columns, axis=1) if columns else np.zeros((len(samples), 1), dtype=np.float32)
        sides[part] = Labelled(features, samples.labels.astype(np.int64), samples.groups)
    return sides


def _baseline(
    names: tuple[str, ...],
    model: str,
    family: Family,
    sides: Mapping[str, Labelled],
    *,
    splits: Mapping[str, Samples],
    tables: Mapping[str, Extracted],
    plan: Plan,
    class_names: Sequence[str],
) -> Baseline:
    start = time.perf_counter()
    choice = choose(family, sides["train"], val=sides.get("val") if plan.scored != "val" else None, seed=plan.seed)
    tune_s = time.perf_counter() - start
    fitted = fit(family, choice.settings, sides["train"], seed=plan.seed)
    scored, samples = sides[plan.scored], splits[plan.scored]
    start = time.perf_counter()
    scores = class_scores(family, fitted.estimator, scored.features, num_classes=len(class_names))
    spent_ms = 1000 * (time.perf_counter() - start) / len(samples)
    name = f"{_feature_name(names, plan)}-{model}" if names else model
    feature_ms = sum(tables[plan.scored].ms_per_image[name] for name in names)
    predictions = Predictions(
        names=samples.names,
        labels=scored.labels,
        logits=scores,
        class_names=class_names,
        groups=samples.groups,
        provenance={"baseline": name, "scores": _SCORE_TEXTS[family.scores], "imgrec": __version__},
    )
    return Baseline(
        name=name,
        features=_feature_name(names, plan) if names else "none",
        model=model,
        is_majority_class=model == "majority",
        num_features=scored.features.shape[1] if names else 0,
        settings=choice.settings,
        chosen_on=choice.chosen_on,
        tried=choice.tried,
        fit_s=fitted.seconds,
        tune_s=tune_s,
        feature_ms_per_image=feature_ms,
        predict_ms_per_image=feature_ms + spent_ms,
        size_bytes=fitted.size_bytes,
        scores=family.scores,
        notes=fitted.notes,
        predictions=predictions,
    )


_SCORE_TEXTS: dict[Scores, str] = {
    "probabilities": "logarithms of probabilities",
    "decision_values": "decision values: their softmax is not a calibrated probability",
}


def _feature_name(names: tuple[str, ...], plan: Plan) -> str:
    return plan.network_name if names == (FROZEN,) else "+".join(names)


def _is_correct(predictions: Predictions) -> "np.ndarray[Any, Any]":
    return np.asarray(predictions.predicted == predictions.labels)


def _notes(splits: Mapping[str, Samples], plan: Plan, facts: ImageFacts, class_names: Sequence[str]) -> list[str]:
    notes = []
    names = {name for names in plan.features for name in names}
    if facts.is_gray and "color" in names:
        notes.append("All inspected images are gray: the colour histogram is a histogram of brightness.")
    if facts.factor > 1 and names - {FROZEN}:
        sizes = ["x".join(map(str, size)) for size in (facts.height_width, facts.working_size)]
        notes.append(f"Hand-crafted features are computed from images reduced from {sizes[0]} to {sizes[1]} px.")
    if plan.scored == "val":
        notes.append(
            "The data has no test split: baselines are evaluated on validation images, settings chosen within train."
        )
    if plan.only is not None:
        num = f"{len(plan.only)} images of the {plan.scored} split"
        notes.append(
            f"Evaluated on the {num} that the model was evaluated on: its decision rules were fitted on the others."
        )
    missing = sorted(set(range(len(class_names))) - set(splits["train"].labels.tolist()))
    if missing:
        shown = listed([class_names[place] for place in missing], limit=5)
        notes.append(f"{len(missing)} of {len(class_names)} classes have no training image: {shown}.")
    if len(set(splits[plan.scored].labels.tolist())) == 1:
        notes.append(f"The {plan.scored} split holds images of one class only: accuracy is not informative.")
    return notes
