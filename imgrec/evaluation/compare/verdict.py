"""The verdict of a comparison in a sentence: which run is better, or how many images would be needed to tell."""

import math
from dataclasses import dataclass
from typing import Literal

from imgrec.core.text import counted
from imgrec.evaluation.compare.pairs import LOWER_IS_BETTER, Difference, Pair
from imgrec.evaluation.statistics.level import LEVEL, POWER_Z

__all__ = ["SHOWN", "Verdict", "judge", "show", "show_difference", "show_share"]

SHOWN = {
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1.macro": "F1 (macro)",
    "f1.micro": "F1 (micro)",
    "auroc.macro": "AUROC (macro)",
    "average_precision.macro": "average precision (macro)",
    "cohen_kappa": "Cohen's kappa",
    "matthews": "Matthews correlation",
    "log_loss": "log loss",
    "brier": "Brier score",
    "subset_accuracy": "subset accuracy",
    "hamming_loss": "Hamming loss",
}
_POINTS = {"accuracy", "top5", "balanced_accuracy", "subset_accuracy"}  # shown in percentage points
_MOST = 10_000_000
_NARROW = 0.01  # an interval narrower than a percentage point is shown with two decimals


@dataclass(frozen=True)
class Verdict:
    """The verdict on a pair.

    Attributes:
        better: Name of the better run, or None.
        kind: `"better"`, `"same"` (identical predictions) or `"unclear"`.
        text: A sentence.
        needed: Number of images or groups that would detect the difference; None where unknown.
    """

    better: str | None
    kind: Literal["better", "same", "unclear"]
    text: str
    needed: int | None


def judge(pair: Pair, *, num_images: int, num_units: int, unit: str) -> Verdict:
    """Return the verdict on a pair: better only if the interval and the test, corrected for all pairs, agree.

    Args:
        pair: Two runs.
        num_images: Number of images that both predicted.
        num_units: Number of images or groups that were resampled.
        unit: `"image"` or `"group"`.
    """
    main, names = pair.main, (pair.a.run.name, pair.b.run.name)
    if not math.isfinite(main.value):
        return Verdict(None, "unclear", f"{_pair(names)} cannot be compared: {SHOWN[main.metric]} is undefined.", None)
    if num_units < 2:
        return Verdict(None, "unclear", f"{_pair(names)} cannot be distinguished: all images are from one group.", None)
    if not pair.flips.rows and main.variance == 0:
        return Verdict(
            None, "same", f"{names[0]} and {names[1]} give the same predictions on all {num_images:,} images.", None
        )
    is_clear = pair.p_holm < 1 - LEVEL and main.low is not None and main.high is not None and main.low * main.high > 0
    return _better(main, names) if is_clear else _unclear(pair, names, num_units=num_units, unit=unit)


def show(value: float) -> str:
    """Return a metric with four decimals, 0.9386, or "undefined"."""
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def show_difference(metric: str, value: float) -> str:
    """Return a difference with its sign: +1.20 points for a proportion, +0.0120 otherwise."""
    if math.isnan(value):
        return "undefined"
    is_share = metric in _POINTS or metric == "per_class.recall"
    shown = f"{100 * value:+.2f} points" if is_share else f"{value:+.4f}"
    return shown[1:] if shown[1:] in ("0.00 points", "0.0000") else shown  # zero has no sign


def show_share(difference: Difference) -> str:
    """Return a difference and its interval: `+1.20 points (+0.40 to +2.00)`."""
    shown = show_difference(difference.metric, difference.value)
    if difference.low is None or difference.high is None:
        return shown
    ends = (
        show_difference(difference.metric, end).removesuffix(" points") for end in (difference.low, difference.high)
    )
    return f"{shown} ({' to '.join(ends)})"


def _better(main: Difference, names: tuple[str, str]) -> Verdict:
    assert main.low is not None and main.high is not None
    is_b = (main.value > 0) != (main.metric in LOWER_IS_BETTER)
    better, worse = (names[1], names[0]) if is_b else (names[0], names[1])
    ends = sorted((abs(main.low), abs(main.high)))
    sizes = [_told(main, size).removeprefix("+") for size in (abs(main.value), *ends)]
    unit = f" {_points(sizes[0])} of accuracy" if main.metric in _POINTS else f" in {SHOWN[main.metric]}"
    text = f"{better} is better than {worse} by {sizes[0]}{unit} ({sizes[1]} to {sizes[2]})."
    return Verdict(better, "better", text, None)


def _unclear(pair: Pair, names: tuple[str, str], *, num_units: int, unit: str) -> Verdict:
    main = pair.main
    found = f"{_pair(names)} are not distinguishable with {counted(num_units, unit)}"
    if main.low is not None and main.high is not None:
        value, *ends = (_told(main, number) for number in (main.value, main.low, main.high))
        points = " points of accuracy" if main.metric in _POINTS else f" in {SHOWN[main.metric]}"
        found += f": the difference is {value}{points} ({ends[0]} to {ends[1]})"
    if main.low is not None and main.high is not None and main.low * main.high > 0:
        is_crowd = pair.p < 1 - LEVEL <= pair.p_holm
        reason = "after correction for the number of pairs" if is_crowd else f"by the test (p = {pair.p:.2f})"
        return Verdict(None, "unclear", f"{found}, {reason}.", None)
    if not main.value:  # no number of images detects a difference of zero
        return Verdict(None, "unclear", f"{found}.", None)
    needed = _needed(main, num_units)
    if needed is None:
        more = "More images alone would not help: the trainings of a run differ too much. Give more trainings of each."
    elif needed > _MOST:
        more, needed = f"More than {_MOST:,} would be needed to detect so small a difference.", None
    elif needed <= num_units:
        return Verdict(None, "unclear", f"{found}.", None)  # so few that the estimate is worth nothing
    else:
        more = f"About {needed:,} would be needed to detect a difference of this size."
    return Verdict(None, "unclear", f"{found}. {more}", needed)


def _needed(main: Difference, num_units: int) -> int | None:
    """Return the number of units that detects a difference of this size with 80 % power; None: no number does.

    The variance due to images shrinks with their number, that due to trainings does not.
    """
    wanted = (main.value / POWER_Z) ** 2 - main.seed_variance
    if wanted <= 0:
        return None if main.seed_variance > 0 else _MOST + 1
    exact = num_units * (main.variance - main.seed_variance) / wanted
    return _rounded(max(exact, 1.0))


def _rounded(exact: float) -> int:
    """Return a number rounded up to two digits: it is an estimate of an estimate."""
    if not math.isfinite(exact) or exact > _MOST:
        return _MOST + 1
    scale = 10 ** max(int(math.log10(exact)) - 1, 0)
    return int(math.ceil(exact / scale) * scale)


def _pair(names: tuple[str, str]) -> str:
    return f"{names[0]} and {names[1]}"


def _points(shown: str) -> str:
    return "point" if float(shown) == 1 else "points"


def _told(main: Difference, value: float) -> str:
    """Return a value of a difference with its sign, in percentage points for proportions; zero has no sign."""
    assert main.low is not None and main.high is not None
    if main.metric not in _POINTS:
        shown = f"{value:+.4f}"
    else:
        shown = f"{100 * value:+.{2 if main.high - main.low < _NARROW else 1}f}"
    return shown if float(shown) else shown[1:]
