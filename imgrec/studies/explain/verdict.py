"""What the checks of a map come to, in words. No torch."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from imgrec.studies.explain.faithfulness import Faithfulness

__all__ = ["CHANGED_BELOW", "UNCHANGED_FROM", "Verdict", "Word", "judge", "judge_all"]

# Of the rank correlation between a map and those of the randomised network; its square is the part of one order that
# the other explains. Below 0.5 less than a quarter of the map is left: it came from the weights. From 0.8 on, two
# thirds and more are: it is made of the image, as edges are, and would be there whatever the network had learnt.
CHANGED_BELOW = 0.5
UNCHANGED_FROM = 0.8
# Of the probability that is left where nothing is to be seen: above, the image adds too little to be explained.
MOST_WITHOUT = 0.9
MOST_TRUSTED = 0.75  # of all maps: from here on the method is trustworthy for this network
MOST_BAD = 0.5  # of all maps: above, it is bad
FEW = 10  # images, below which shares over them mean little

Word = Literal["trustworthy", "weak", "bad"]


class Verdict(NamedTuple):
    """word: trustworthy, weak or bad. reason: a sentence, as "it ..."; no full stop."""

    word: Word
    reason: str


def judge(
    faithfulness: Faithfulness | None, *, correlation: float, num_random: int, whole: float, nothing: float
) -> Verdict:
    """Judge one map.

    faithfulness: None for a map that is the same everywhere. correlation: with the maps of the randomised network, mean
    rank correlation of absolute values. num_random: random orders that it was measured against. whole, nothing: the
    probability of the class for the image, and for the baseline alone.

    bad: empty; or unchanged when the network is randomised; or no better than random orders both ways. trustworthy:
    better than every random order in deletion and in insertion, and changed, and of an image that makes a difference:
    where the probability is as high with nothing to be seen, curves and maps are of noise. Everything between is weak.
    """
    if faithfulness is None:
        return Verdict("bad", "it is empty: no part of the image speaks for this class")
    if correlation >= UNCHANGED_FROM:
        return Verdict("bad", f"it is unchanged when the network is randomised (rank correlation {correlation:.2f})")
    beaten = {"deletion": faithfulness.beats_deletion, "insertion": faithfulness.beats_insertion}
    failed = [name for name, beats in beaten.items() if not beats]
    if len(failed) == 2:
        return Verdict("bad", f"it is no better than {num_random} random orders, in deletion and in insertion")
    doubts = [f"in {name} it is no better than {num_random} random orders" for name in failed]
    if correlation >= CHANGED_BELOW:
        doubts.append(f"it changes little when the network is randomised (rank correlation {correlation:.2f})")
    if nothing > MOST_WITHOUT * whole:
        doubts.append(
            f"the probability is {nothing:.2f} with nothing to be seen and {whole:.2f} with the image: there is "
            "little to explain"
        )
    if doubts:
        return Verdict("weak", "; ".join(doubts))
    return Verdict(
        "trustworthy",
        f"it is better than {num_random} random orders in deletion and in insertion, and changes when the network is "
        f"randomised (rank correlation {correlation:.2f})",
    )


def judge_all(words: Sequence[Word]) -> Verdict:
    """Judge a method on all images of a network by the verdicts on each. At least one image."""
    trusted, bad = words.count("trustworthy"), words.count("bad")
    few = f"; with so few images ({len(words)}) that is a hint, not a measurement" if len(words) < FEW else ""
    counts = f"{trusted} of {len(words)} maps pass every check, {bad} {'is' if bad == 1 else 'are'} bad{few}"
    if trusted >= MOST_TRUSTED * len(words):
        return Verdict("trustworthy", counts)
    return Verdict("bad" if bad > MOST_BAD * len(words) else "weak", counts)
