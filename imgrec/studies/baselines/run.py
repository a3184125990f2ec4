"""Every chosen pair of features and model, fitted on the training split and scored on the test split."""

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
from imgrec.studies.baselines.extract import Extracted, Look, Progress, extract, look_at
from imgrec.studies.baselines.features import choose_descriptor
from imgrec.studies.baselines.fit import Labelled, choose, class_scores, fit, proportional
from imgrec.studies.baselines.models import FLOORS, MODELS, Family, Scores
from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["FROZEN", "Baseline", "Contest", "Plan", "run_baselines"]

FROZEN = "frozen"  # the name of a network's features
FROZEN_MODEL = "logistic_regression"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Which baselines.

    features: sets of features, each one or more of hog, lbp, color joined; ("frozen",) = those of `network`.
    models: keys of `MODELS`, for features made by hand; frozen ones go with logistic regression.
    scored: the split that baselines are scored on; settings are chosen on "val", unless that is it.
    only: places in the scored split, those that a network beside was scored on; None = all are scored.
    max_train: training images at most, the classes in proportion; None = all.
    network, network_name: what frozen features come from.
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
    """One pair of features and model. Times: `seconds` of fitting, `tune_s` of choosing, both without the features."""

    name: str
    features: str
    model: str
    is_floor: bool
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
class Contest:
    """All baselines of one data set, best first. notes: a line each for what a reader should know."""

    baselines: Sequence[Baseline]
    scored: str
    sizes: Mapping[str, int]
    class_names: Sequence[str]
    seed: int
    data_fingerprint: str
    look: Look
    notes: Sequence[str] = field(default_factory=tuple)


def run_baselines(
    data: ImageDataModule, plan: Plan, *, progress: Progress | None = None, say: Say = lambda _: None
) -> Contest:
    """Fit and score all baselines. The scored split is looked at for its features and its scores, and for nothing else.

    Raises: DataError: several labels per image, or one class only; images of several sizes, or too small.
    MissingExtraError: scikit-image is not installed.
    """
    parts = _parts(data, plan)
    look = look_at(parts["train"], data.preprocess)
    tables = {
        name: _describe(name, samples, data=data, plan=plan, look=look, progress=progress, say=say)
        for name, samples in parts.items()
    }
    baselines: list[Baseline] = []
    class_names = list(data.splits.class_names)
    for names, kinds in _pairs(plan):
        sides = _join(names, tables, parts)
        for model, family in kinds.items():
            say(f"{_called(names, plan)} with {model}" if names else model)
            baselines.append(
                _baseline(names, model, family, sides, parts=parts, tables=tables, plan=plan, class_names=class_names)
            )
    return Contest(
        baselines=sorted(baselines, key=lambda baseline: -float(np.mean(_is_right(baseline.predictions)))),
        scored=plan.scored,
        sizes={name: len(samples) for name, samples in parts.items()},
        class_names=class_names,
        seed=plan.seed,
        data_fingerprint=data.fingerprint(),
        look=look,
        notes=_notes(parts, plan, look, class_names),
    )


def _parts(data: ImageDataModule, plan: Plan) -> dict[str, Samples]:
    """Return the splits that are used, "train" cut to `max_train`. Raises: DataError."""
    if data.splits.task == "multilabel":
        raise DataError(
            "The images have several labels each; baselines are made for one label per image. Compare networks with "
            "imgrec compare, or give a table with one label column."
        )
    train = data.split("train")
    found = np.unique(train.labels)
    if len(found) < 2:
        only = f" ({data.splits.class_names[int(found[0])]})" if len(found) else ""
        raise DataError(f"The training split has {len(found)} class{only}: there is nothing to tell apart.")
    if plan.max_train is not None:
        train = train.subset(proportional(train.labels.astype(np.int64), plan.max_train, seed=plan.seed))
    scored = data.split(plan.scored)
    parts = {"train": train, plan.scored: scored if plan.only is None else scored.subset(plan.only)}
    if plan.scored != "val" and data.has_split("val") and len(data.split("val")):
        parts["val"] = data.split("val")
    if not len(parts[plan.scored]):
        raise DataError(f"The {plan.scored} split holds no images: there is nothing to score.")
    return parts


def _pairs(plan: Plan) -> list[tuple[tuple[str, ...], dict[str, Family]]]:
    """Return each set of features with its models; no features go with the floors."""
    chosen = {name: MODELS[name] for name in plan.models}
    frozen = {FROZEN_MODEL: MODELS[FROZEN_MODEL]}
    return [*((names, frozen if names == (FROZEN,) else chosen) for names in plan.features), ((), FLOORS)]


def _describe(
    part: str,
    samples: Samples,
    *,
    data: ImageDataModule,
    plan: Plan,
    look: Look,
    progress: Progress | None,
    say: Say,
) -> Extracted:
    names = list(dict.fromkeys(name for names in plan.features for name in names if name != FROZEN))
    descriptors = {
        name: choose_descriptor(name, height_width=look.working_size, is_gray=look.is_gray) for name in names
    }
    features: dict[str, FloatArray] = {}
    times: dict[str, float] = {}
    if descriptors:
        say(f"Features of {part}: {', '.join(names)}")
        made = extract(samples, preprocess=data.preprocess, look=look, descriptors=descriptors, progress=progress)
        features |= made.features
        times |= made.ms_per_image
    if plan.network is not None:
        from imgrec.studies.baselines.frozen import extract_frozen

        say(f"Features of {part}: {plan.network_name}")
        made = extract_frozen(plan.network, samples, name=FROZEN, preprocess=data.preprocess, progress=progress)
        features |= made.features
        times |= made.ms_per_image
    return Extracted(features, times)


def _join(names: tuple[str, ...], tables: Mapping[str, Extracted], parts: Mapping[str, Samples]) -> dict[str, Labelled]:
    """Return the features of every split side by side, each set divided by its mean length over the training split."""
    lengths = {name: float(np.linalg.norm(tables["train"].features[name], axis=1).mean()) or 1.0 for name in names}
    sides = {}
    for part, samples in parts.items():
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
    parts: Mapping[str, Samples],
    tables: Mapping[str, Extracted],
    plan: Plan,
    class_names: Sequence[str],
) -> Baseline:
    start = time.perf_counter()
    choice = choose(family, sides["train"], val=sides.get("val") if plan.scored != "val" else None, seed=plan.seed)
    tune_s = time.perf_counter() - start
    fitted = fit(family, choice.settings, sides["train"], seed=plan.seed)
    scored, samples = sides[plan.scored], parts[plan.scored]
    start = time.perf_counter()
    scores = class_scores(family, fitted.estimator, scored.features, num_classes=len(class_names))
    spent_ms = 1000 * (time.perf_counter() - start) / len(samples)
    name = f"{_called(names, plan)}-{model}" if names else model
    feature_ms = sum(tables[plan.scored].ms_per_image[name] for name in names)
    predictions = Predictions(
        names=samples.names,
        labels=scored.labels,
        logits=scores,
        class_names=class_names,
        groups=samples.groups,
        provenance={"baseline": name, "scores": _SCORES_IN_WORDS[family.scores], "imgrec": __version__},
    )
    return Baseline(
        name=name,
        features=_called(names, plan) if names else "none",
        model=model,
        is_floor=not names,
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


_SCORES_IN_WORDS: dict[Scores, str] = {
    "probabilities": "logarithms of probabilities",
    "decision_values": "decision values, not calibrated: their softmax is no probability",
}


def _called(names: tuple[str, ...], plan: Plan) -> str:
    return plan.network_name if names == (FROZEN,) else "+".join(names)


def _is_right(predictions: Predictions) -> "np.ndarray[Any, Any]":
    return np.asarray(predictions.predicted == predictions.labels)


def _notes(parts: Mapping[str, Samples], plan: Plan, look: Look, class_names: Sequence[str]) -> list[str]:
    notes = []
    names = {name for names in plan.features for name in names}
    if look.is_gray and "color" in names:
        notes.append("All images looked at are gray: the colour histogram is one of brightness.")
    if look.factor > 1 and names - {FROZEN}:
        sizes = ["x".join(map(str, size)) for size in (look.height_width, look.working_size)]
        notes.append(f"Features made by hand are of images made smaller, {sizes[0]} to {sizes[1]} px.")
    if plan.scored == "val":
        notes.append("The data has no test split: baselines are scored on validation, and chosen within train.")
    if plan.only is not None:
        num = f"{len(plan.only)} images of the {plan.scored} split"
        notes.append(f"Scored on the {num} that the network was scored on: its decisions were fitted on the others.")
    missing = sorted(set(range(len(class_names))) - set(parts["train"].labels.tolist()))
    if missing:
        shown = listed([class_names[place] for place in missing], limit=5)
        notes.append(f"{len(missing)} of {len(class_names)} classes have no training image: {shown}.")
    if len(set(parts[plan.scored].labels.tolist())) == 1:
        notes.append(f"The {plan.scored} split holds images of one class only: accuracy says little.")
    return notes
