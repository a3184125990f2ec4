"""slices.json: metrics of subsets of the images (by metadata, group, image property, confidence), the worst first.

Each slice is compared with all other images. p-values are corrected by Holm's method over all slices; a column with
two slices counts as one test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.json_file import write_json
from imgrec.evaluation.decisions.probabilities import prediction_confidence
from imgrec.evaluation.metrics.shares import Difference, Estimate, Shares, independence_notes, shares_of
from imgrec.evaluation.metrics.slice_rules import Cut, Slice, cut_column, cut_numbers
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.level import LEVEL, POWER_Z, Z
from imgrec.evaluation.statistics.multiple import holm

__all__ = ["FORMAT", "compute_slices", "write_slices"]

FORMAT = 1
ALPHA = 1 - LEVEL
FEWEST = 20  # images; smaller slices are "too small"
COARSE = 0.10  # as are slices in which only a difference above this would be found
TITLES = {
    "image:height": "height of the file's image (px)",
    "image:width": "width of the file's image (px)",
    "image:aspect": "aspect (width / height)",
    "image:brightness": "brightness (mean gray value, 0-255)",
    "image:contrast": "contrast (standard deviation of gray values)",
    "image:sharpness": "sharpness (variance of the Laplacian)",
    "confidence": "confidence of the prediction",
}
VERDICTS = ("worse", "no difference found", "better", "too small")


@dataclass(frozen=True)
class _Tested:
    """A slice, its metric, that of the other images, and the difference between them."""

    column: str
    part: Slice
    own: Estimate
    rest: Estimate
    difference: Difference


def write_slices(predictions: Predictions, path: Path) -> dict[str, Any]:
    """Write the result of `compute_slices` as JSON, and return it.

    Raises:
        RunFolderError: The file cannot be written.
    """
    found = compute_slices(predictions)
    write_json(path, found)
    return found


def compute_slices(predictions: Predictions) -> dict[str, Any]:
    """Return the metrics of all slices, the worst first: the contents of slices.json, with NaN for its null.

    Slices are made of the columns of the table, the group, and the confidence. The latter are listed separately in
    `by_confidence`, without tests: accuracy should be lower where confidence is low.
    """
    shares = shares_of(predictions)
    cuts = {name: cut_column(column) for name, column in _columns(predictions).items()}
    tested = [_tested(shares, name, part) for name, cut in cuts.items() for part in cut.slices]
    adjusted = _adjusted(tested, cuts)
    rows = [_row(one, p_holm=p, overall=shares.estimate().value) for one, p in zip(tested, adjusted, strict=True)]
    by_confidence = cut_numbers(prediction_confidence(predictions.probabilities, task=predictions.task))
    return {
        "format": FORMAT,
        "task": predictions.task,
        "score": shares.name,
        "confidence_level": LEVEL,
        "num_samples": len(predictions),
        "num_tests": _num_tests(cuts),
        "overall": _plain(shares.estimate()),
        "columns": [_describe(name, cut) for name, cut in cuts.items() if cut.slices],
        "slices": sorted(rows, key=_worst_first),
        "by_confidence": [_row(_tested(shares, "confidence", part)) for part in by_confidence.slices],
        "left_out": [{"column": name, "reason": cut.why_not} for name, cut in cuts.items() if not cut.slices],
        "notes": _notes(predictions, cuts),
    }


def _columns(predictions: Predictions) -> dict[str, NDArray[np.float64] | Sequence[str]]:
    grouped = {} if predictions.groups is None else {"group": predictions.groups}
    meta = {name: column for name, column in predictions.columns.items() if name.startswith("meta:")}
    return {**meta, **grouped, **{name: column for name, column in predictions.columns.items() if name not in meta}}


def _tested(shares: Shares, column: str, part: Slice) -> _Tested:
    return _Tested(
        column, part, shares.estimate(part.chosen), shares.estimate(~part.chosen), shares.compare(part.chosen)
    )


def _adjusted(tested: Sequence[_Tested], cuts: Mapping[str, Cut]) -> list[float]:
    """Return Holm's p-values; the two slices of a column that has no others count as one test."""
    p_values = np.array([one.difference.p_value for one in tested])
    seen: set[str] = set()
    counts = np.zeros(len(tested), dtype=np.bool_)
    for place, one in enumerate(tested):
        is_duplicate = len(cuts[one.column].slices) == 2 and one.column in seen
        counts[place] = not is_duplicate and not np.isnan(p_values[place])
        seen.add(one.column)
    adjusted = np.full(len(tested), np.nan)
    adjusted[counts] = holm(p_values[counts])
    for place in range(1, len(tested)):
        if not counts[place] and not np.isnan(p_values[place]):
            adjusted[place] = adjusted[place - 1]  # the other of the two
    return adjusted.tolist()


def _num_tests(cuts: Mapping[str, Cut]) -> int:
    return sum(1 if len(cut.slices) == 2 else len(cut.slices) for cut in cuts.values())


def _row(one: _Tested, *, p_holm: float | None = None, overall: float | None = None) -> dict[str, Any]:
    detectable = None if overall is None else _detectable(one, overall)
    is_tested = p_holm is not None
    return {
        "column": one.column,
        "label": one.part.label,
        "low": one.part.low,
        "high": one.part.high,
        "num_samples": one.own.num_samples,
        "num_correct": one.own.num_correct,
        "score": one.own.value,
        "score_low": one.own.low,
        "score_high": one.own.high,
        "rest_score": one.rest.value,
        "difference": one.difference.difference,
        "difference_low": one.difference.low,
        "difference_high": one.difference.high,
        "p_value": one.difference.p_value if is_tested else None,
        "p_holm": p_holm,
        "detectable_difference": detectable,
        "verdict": _verdict(one, p_holm, detectable) if p_holm is not None and detectable is not None else None,
    }


def _detectable(one: _Tested, overall: float) -> float:
    """Return the smallest difference that a test of this slice alone would find with 80 % power.

    By the normal approximation, with the variance of a proportion; for F1 that of the measured interval.
    """
    sizes = one.own.num_samples, one.rest.num_samples
    if min(sizes) == 0:
        return float("nan")
    # At an accuracy of 1 the variance would be 0, and one image would be enough.
    share = min(max(overall, 0.5 / sum(sizes)), 1 - 0.5 / sum(sizes))
    variance = share * (1 - share)
    if one.own.num_correct is None:
        width = (one.difference.high - one.difference.low) / (2 * Z)
        return float(POWER_Z * width)
    return float(POWER_Z * np.sqrt(variance / sizes[0] + variance / sizes[1]))


def _verdict(one: _Tested, p_holm: float, detectable: float) -> str:
    if p_holm < ALPHA:
        return "worse" if one.difference.difference < 0 else "better"
    is_small = one.own.num_samples < FEWEST or not detectable <= COARSE
    return "too small" if is_small else "no difference found"


def _worst_first(row: Mapping[str, Any]) -> tuple[int, float]:
    difference = row["difference"]
    return VERDICTS.index(row["verdict"]), 0.0 if np.isnan(difference) else difference


def _plain(found: Estimate) -> dict[str, float]:
    return {"score": found.value, "low": found.low, "high": found.high}


def _describe(name: str, cut: Cut) -> dict[str, Any]:
    return {
        "name": name,
        "title": TITLES.get(name, name.removeprefix("meta:")),
        "kind": cut.kind,
        "rule": cut.rule,
        "edges": cut.edges,
        "num_values": cut.num_values,
        "num_missing": cut.num_missing,
        "num_pooled": cut.num_pooled,
    }


def _notes(predictions: Predictions, cuts: Mapping[str, Cut]) -> list[str]:
    notes = []
    for name, cut in cuts.items():
        if cut.slices and cut.num_missing:
            notes.append(f"{cut.num_missing} images have no value for {name}; they form a slice of their own.")
        if cut.slices and cut.num_pooled:
            notes.append(f"{name}: {cut.num_pooled} of {cut.num_values} values are rare and pooled in one slice.")
    return [*notes, *independence_notes(predictions)]
