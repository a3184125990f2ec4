"""What attacks found, as numbers, and whether it can be believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.shares import Shares
from imgrec.evaluation.statistics.proportions import LEVEL

__all__ = ["Trial", "make_attack_card"]

FORMAT = 1
TITLES = {
    "linf": "every value changed by at most eps, of 0 to 1",
    "l2": "Euclidean distance of at most eps, values of 0 to 1",
}
SLACK = 0.01  # of the images: attacks with few steps are no exact order


@dataclass(frozen=True)
class Trial:
    """One attack at one eps on N images. attack: noise, fgsm, pgd, rays. is_right: bool (N,), right after it."""

    norm: str
    attack: str
    eps: float
    steps: int
    restarts: int
    is_right: NDArray[np.bool_]


def make_attack_card(
    trials: Sequence[Trial],
    *,
    clean_right: NDArray[np.bool_],
    num_classes: int,
    boundless: NDArray[np.bool_],
    num_without_slope: int,
) -> dict[str, Any]:
    """Return the card as plain values.

    boundless: which of some images the network is still right about when any value may become any other (eps = 1).
    num_without_slope: images, of N, for which the gradient is exactly zero.

    An attack that should be strong and is not says nothing about the network: most often gradients are hidden
    ("masked": Athalye et al. 2018, arXiv:1802.00420). The checks look for the signs that they name.
    """
    clean = _score(clean_right)
    norms = list(dict.fromkeys(trial.norm for trial in trials))
    compared = [
        _compare("many steps are at least as strong as one", trials, strong="pgd", weak="fgsm"),
        _compare("gradients are at least as strong as noise", trials, strong="pgd", weak="noise"),
    ]
    if any(trial.attack == "rays" for trial in trials):
        name = "gradients are at least as strong as labels alone"
        compared.append(_compare(name, trials, strong="pgd", weak="rays", sign="gradients may be masked"))
    return {
        "format": FORMAT,
        "score": "accuracy",
        "confidence_level": LEVEL,
        "num_samples": len(clean_right),
        "chance": 1 / num_classes,
        "clean": {key: clean[key] for key in ("score", "low", "high")},
        "norms": [
            {"norm": norm, "title": TITLES[norm], "cells": [_cell(trial) for trial in trials if trial.norm == norm]}
            for norm in norms
        ],
        "checks": [
            *compared,
            {
                "name": "without bounds the network is no better than chance",
                "passed": bool(boundless.mean() <= 1 / num_classes),
                "detail": f"eps = 1: right about {boundless.sum()} of {len(boundless)}, chance {1 / num_classes:.3f}",
            },
            {
                "name": "gradients are there",
                "passed": num_without_slope <= SLACK * len(clean_right),
                "detail": f"exactly zero for {num_without_slope} of {len(clean_right)} images",
            },
        ],
    }


def _score(is_right: NDArray[np.bool_]) -> dict[str, Any]:
    found = Shares("accuracy", is_right.astype(np.float64), np.ones(len(is_right))).estimate()
    return {"num_samples": found.num_samples, "score": found.value, "low": found.low, "high": found.high}


def _cell(trial: Trial) -> dict[str, Any]:
    return {
        "attack": trial.attack,
        "eps": trial.eps,
        "eps_255": trial.eps * 255 if trial.norm == "linf" else None,
        "steps": trial.steps,
        "restarts": trial.restarts,
        **_score(trial.is_right),
    }


def _compare(
    name: str, trials: Sequence[Trial], *, strong: str, weak: str, sign: str | None = None
) -> Mapping[str, Any]:
    """Check that nowhere `weak` breaks more images than `strong`, but for a hundredth. sign: what it means if so."""
    by_place = {(trial.norm, trial.eps, trial.attack): int(trial.is_right.sum()) for trial in trials}
    slack = max(1, SLACK * len(trials[0].is_right))
    wrong = [
        f"{norm} eps={eps:.4g}: {weak} leaves {right}, {strong} {by_place[norm, eps, strong]}"
        for (norm, eps, attack), right in by_place.items()
        if attack == weak and right + slack < by_place[norm, eps, strong]
    ]
    detail = "; ".join([*wrong, *([sign] if sign and wrong else [])])
    return {"name": name, "passed": not wrong, "detail": detail or f"{strong} against {weak} at every eps"}
