"""The verdict on a saliency map from its checks: trustworthy, weak or bad. No torch."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from imgrec.studies.explain.faithfulness import Faithfulness

__all__ = ["CHANGED_BELOW", "UNCHANGED_FROM", "Grade", "Verdict", "judge", "judge_all"]

# Rank correlation between a map and those of randomised networks; its square is the share of explained variance. Below
# 0.5 less than a quarter is explained: the map depends on the weights. From 0.8 on it is two thirds or more: the map
# depends on the image, such as its edges, whatever the model has learned.
CHANGED_BELOW = 0.5
UNCHANGED_FROM = 0.8
# Probability of the baseline relative to that of the image: above, there is too little to explain.
MOST_OF_BASELINE = 0.9
MOST_TRUSTED = 0.75  # of all maps: from this share on the method is trustworthy for the model
MOST_BAD = 0.5  # of all maps: above this share it is bad
FEW = 10  # maps, below which shares mean little

Grade = Literal["trustworthy", "weak", "bad"]


class Verdict(NamedTuple):
    """A grade and the reason for it, a clause without a full stop."""

    grade: Grade
    reason: str


def judge(
    faithfulness: Faithfulness | None, *, correlation: float, num_random: int, whole: float, nothing: float
) -> Verdict:
    """Judge one map.

    A map is bad if it is constant, if it hardly changes when the weights are randomised, or if it is no better than
    random orders in deletion and in insertion. It is trustworthy if it is better than every random order in both,
    changes when the weights are randomised, and the probability of the image is clearly above that of the baseline. All
    others are weak.

    Args:
        faithfulness: None for a constant map.
        correlation: Mean rank correlation (of absolute values) with the maps of randomised networks.
        num_random: Number of random orders.
        whole: Probability of the class for the image.
        nothing: Probability of the class for the baseline.
    """
    if faithfulness is None:
        return Verdict("bad", "the map is constant: no part of the image is evidence for this class")
    if correlation >= UNCHANGED_FROM:
        return Verdict(
            "bad", f"the map hardly changes when the weights are randomised (rank correlation {correlation:.2f})"
        )
    beaten = {"deletion": faithfulness.beats_deletion, "insertion": faithfulness.beats_insertion}
    failed = [name for name, beats in beaten.items() if not beats]
    if len(failed) == 2:
        return Verdict("bad", f"no better than {num_random} random orders in deletion and in insertion")
    doubts = [f"no better than {num_random} random orders in {name}" for name in failed]
    if correlation >= CHANGED_BELOW:
        doubts.append(f"the map changes little when the weights are randomised (rank correlation {correlation:.2f})")
    if nothing > MOST_OF_BASELINE * whole:
        doubts.append(
            f"probability {nothing:.2f} for the baseline and {whole:.2f} for the image: there is little to explain"
        )
    if doubts:
        return Verdict("weak", "; ".join(doubts))
    return Verdict(
        "trustworthy",
        f"better than {num_random} random orders in deletion and in insertion, and the map changes when the weights "
        f"are randomised (rank correlation {correlation:.2f})",
    )


def judge_all(grades: Sequence[Grade]) -> Verdict:
    """Judge a method by the grades of its maps, at least one."""
    noun = "1 map" if len(grades) == 1 else f"{len(grades)} maps"
    trusted, bad = grades.count("trustworthy"), grades.count("bad")
    few = f"; with only {noun} this is a rough estimate" if len(grades) < FEW else ""
    counts = f"{trusted} of {noun} pass every check, {bad} {'is' if bad == 1 else 'are'} bad{few}"
    if trusted >= MOST_TRUSTED * len(grades):
        return Verdict("trustworthy", counts)
    return Verdict("bad" if bad > MOST_BAD * len(grades) else "weak", counts)
