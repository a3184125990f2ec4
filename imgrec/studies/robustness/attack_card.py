"""The contents of attack.json: accuracy under each attack, and sanity checks of the attacks themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.shares import Shares
from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["Trial", "make_attack_card"]

FORMAT = 1
TITLES = {
    "linf": "every value changed by at most eps, values of 0 to 1",
    "l2": "Euclidean distance of at most eps, values of 0 to 1",
}
SLACK = 0.01  # of the images: with few steps a stronger attack may miss a few that a weaker one finds


@dataclass(frozen=True)
class Trial:
    """One attack at one eps on N images.

    Attributes:
        norm: linf or l2.
        attack: noise, fgsm, pgd or rays.
        is_correct: bool (N,), whether the prediction is still correct under the attack.
    """

    norm: str
    attack: str
    eps: float
    steps: int
    restarts: int
    is_correct: NDArray[np.bool_]


def make_attack_card(
    trials: Sequence[Trial],
    *,
    clean_correct: NDArray[np.bool_],
    num_classes: int,
    unbounded_correct: NDArray[np.bool_],
    num_zero_gradients: int,
) -> dict[str, Any]:
    """Return attack.json as plain data.

    A failed check means that the attack is too weak to say anything about the model, most often because gradients are
    masked (Athalye et al. 2018, arXiv:1802.00420); the checks are the signs that they list.

    Args:
        trials: Attacks on the same N images.
        clean_correct: bool (N,), whether the prediction without an attack is correct.
        num_classes: For the level of chance.
        unbounded_correct: bool (M,), for some images, whether the prediction is still correct at eps = 1, where any
            value may become any other.
        num_zero_gradients: Of the N images, those whose gradient is exactly zero.
    """
    clean, chance = _score(clean_correct), 1 / num_classes
    norms = list(dict.fromkeys(trial.norm for trial in trials))
    compared = [
        _compare("PGD is at least as strong as FGSM", trials, strong="pgd", weak="fgsm"),
        _compare("PGD is at least as strong as random noise", trials, strong="pgd", weak="noise"),
    ]
    if any(trial.attack == "rays" for trial in trials):
        name = "PGD is at least as strong as RayS, which uses no gradients"
        compared.append(_compare(name, trials, strong="pgd", weak="rays", sign="gradients may be masked"))
    return {
        "format": FORMAT,
        "score": "accuracy",
        "confidence_level": LEVEL,
        "num_samples": len(clean_correct),
        "chance": chance,
        "clean": {key: clean[key] for key in ("score", "low", "high")},
        "norms": [
            {"norm": norm, "title": TITLES[norm], "cells": [_cell(trial) for trial in trials if trial.norm == norm]}
            for norm in norms
        ],
        "checks": [
            *compared,
            {
                "name": "accuracy under unbounded changes is at most chance",
                "passed": bool(unbounded_correct.mean() <= chance),
                "detail": f"{unbounded_correct.sum()} of {len(unbounded_correct)} correct, chance {chance:.3f}",
            },
            {
                "name": "gradients are not zero",
                "passed": num_zero_gradients <= SLACK * len(clean_correct),
                "detail": f"exactly zero for {num_zero_gradients} of {len(clean_correct)} images",
            },
        ],
    }


def _score(is_correct: NDArray[np.bool_]) -> dict[str, Any]:
    found = Shares("accuracy", is_correct.astype(np.float64), np.ones(len(is_correct))).estimate()
    return {"num_samples": found.num_samples, "score": found.value, "low": found.low, "high": found.high}


def _cell(trial: Trial) -> dict[str, Any]:
    return {
        "attack": trial.attack,
        "eps": trial.eps,
        "eps_255": trial.eps * 255 if trial.norm == "linf" else None,
        "steps": trial.steps,
        "restarts": trial.restarts,
        **_score(trial.is_correct),
    }


def _compare(
    name: str, trials: Sequence[Trial], *, strong: str, weak: str, sign: str | None = None
) -> Mapping[str, Any]:
    """Check that `weak` never breaks more images than `strong`, up to SLACK. sign: what a failure means."""
    by_place = {(trial.norm, trial.eps, trial.attack): int(trial.is_correct.sum()) for trial in trials}
    slack = max(1, SLACK * len(trials[0].is_correct))
    failures = [
        f"{norm} eps={eps:.4g}: {num_correct} correct after {weak}, {by_place[norm, eps, strong]} after {strong}"
        for (norm, eps, attack), num_correct in by_place.items()
        if attack == weak and num_correct + slack < by_place[norm, eps, strong]
    ]
    detail = "; ".join([*failures, *([sign] if sign and failures else [])])
    return {"name": name, "passed": not failures, "detail": detail or f"{strong} against {weak} at every eps"}
