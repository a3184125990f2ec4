"""Decisions with one rule of each kind, and tables to fit and to apply them on."""

import numpy as np

from imgrec.evaluation.decisions import Decisions, Plan, to_probabilities

CLASSES = ("ant", "bee", "wasp")
POINTS = {"sensitive": {"sensitivity": 0.9}, "specific": {"specificity": 0.9, "classes": ["bee"]}}
COSTS = {"triage": {"wasp": {"ant": 10}}}


def table(seed: int, *, samples: int = 600, sharpness: float = 2.0):
    """Return logits float32 (N, 3) that are overconfident by `sharpness`, and labels int64 (N,)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(samples, 3)) * 2
    chances = to_probabilities(logits, task="single")
    labels = (rng.random((samples, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=2)
    return (logits * sharpness).astype(np.float32), labels


def several(seed: int, *, samples: int = 600):
    """Return logits float32 (N, 3) and labels uint8 (N, 3), several an image."""
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(samples, 3)) * 6).astype(np.float32)
    chances = to_probabilities(logits, task="multilabel", temperature=2.0)
    return logits, (rng.random((samples, 3)) < chances).astype(np.uint8)


def make_plan(**changes):
    """Return a plan with a rule of each kind."""
    rules = {
        "risks": [0.3],
        "conformal": ["lac", "aps"],
        "coverages": [0.9],
        "operating_points": POINTS,
        "costs": COSTS,
    }
    return Plan(**{**rules, **changes})


def fitted(seed: int = 1, **changes) -> Decisions:
    """Return decisions with a rule of each kind."""
    logits, labels = table(seed)
    return make_plan(**changes).fit(logits, labels, task="single", class_names=CLASSES, split="val")
