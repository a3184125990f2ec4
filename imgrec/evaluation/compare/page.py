"""comparison.html: one self-contained page without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imgrec
from imgrec.core.html import page as html_page
from imgrec.core.text import printable
from imgrec.evaluation.compare.comparison import Comparison, metric_names
from imgrec.evaluation.compare.flips import CHANGES, Flip
from imgrec.evaluation.compare.pairs import LOWER_IS_BETTER, Difference, Pair, RunMetrics
from imgrec.evaluation.compare.verdict import SHOWN, Verdict, show, show_difference

__all__ = ["to_html"]

NUM_FLIPS = 50  # of each kind on the page; all are in flips.csv
NUM_CLASSES = 200
_TONES = {"better": "clean", "same": "info", "unclear": "info"}
_TESTS = {
    "exact": "McNemar's exact test",
    "mid-p": "McNemar's test (mid-p)",
    "bootstrap": "the difference divided by its bootstrap standard error",
}
_CHANGES = {
    "gained": "only {b} is correct",
    "lost": "only {a} is correct",
    "changed": "both incorrect, with different predictions",
}


@dataclass(frozen=True)
class Bar:
    """A difference as the page draws it: positions in percent of the width, 50 = no difference."""

    low: float
    width: float
    point: float
    tone: str


@dataclass(frozen=True)
class Row:
    """A row of a table of differences."""

    name: str
    a: str
    b: str
    difference: str
    ends: str
    bar: Bar | None
    support: str = ""
    gained: str = ""
    lost: str = ""


@dataclass(frozen=True)
class PairView:
    """A pair as the page shows it."""

    anchor: str
    a: str
    b: str
    verdict: Verdict
    tone: str
    p: str
    metrics: list[Row]
    classes: list[Row]
    num_classes_left: int
    flips: list[tuple[str, int, list[Flip]]]


def to_html(comparison: Comparison) -> bytes:
    """Return the page."""
    template = html_page.environment(Path(__file__).parent / "templates", visible=printable).get_template(
        "comparison.html"
    )
    pairs = [_pair(number, pair, comparison) for number, pair in enumerate(comparison.pairs, start=1)]
    text = template.render(
        title=", ".join(printable(run.run.name) for run in comparison.runs),
        pairs=pairs,
        num_pairs=len(pairs),
        num_samples=len(comparison.first),
        num_classes=len(comparison.first.class_names),
        unit=comparison.unit,
        num_units=comparison.num_units,
        resamples=comparison.resamples,
        metrics=[SHOWN[name] for name in metric_names(comparison.first)],
        runs=[_run(run, comparison) for run in comparison.runs],
        class_metric="recall" if comparison.first.task == "single" else "average precision",
        notes=[printable(note) for note in comparison.notes],
        version=imgrec.__version__,
    )
    return html_page.encode(text)


def _run(metrics: RunMetrics, comparison: Comparison) -> dict[str, Any]:
    cells = []
    for name in metric_names(comparison.first):
        ends = metrics.limits[name]
        shown = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        cells.append((show(metrics.values[name]), shown))
    return {
        "name": printable(metrics.run.name),
        "tables": [printable(str(path)) for path in metrics.run.paths],
        "num_trainings": len(metrics.run.tables),
        "cells": cells,
    }


def _pair(number: int, pair: Pair, comparison: Comparison) -> PairView:
    verdict = comparison.judge(pair)
    names = comparison.first.class_names
    order = sorted(range(len(names)), key=lambda index: _worst_first(pair.classes[index]))
    listed = [*order[: NUM_CLASSES // 2], *order[-NUM_CLASSES // 2 :]] if len(order) > NUM_CLASSES else order
    scale = _scale(pair.classes)
    support = _support(comparison)
    classes = [
        _row(
            pair.classes[index],
            printable(names[index]),
            scale=scale,
            support=f"{support[index]:,}",
            gained=f"{pair.flips.gained_by_class[index]:,}",
            lost=f"{pair.flips.lost_by_class[index]:,}",
        )
        for index in listed
    ]
    a, b = printable(pair.a.run.name), printable(pair.b.run.name)
    flips = []
    counts = (pair.flips.num_gained, pair.flips.num_lost, pair.flips.num_changed)
    for change, count in zip(CHANGES, counts, strict=True):
        rows = [flip for flip in pair.flips.rows if flip.change == change][:NUM_FLIPS]
        flips.append((_CHANGES[change].format(a=a, b=b), count, rows))
    return PairView(
        anchor=f"pair-{number}",
        a=a,
        b=b,
        verdict=Verdict(verdict.better, verdict.kind, printable(verdict.text), verdict.needed),
        tone=_TONES[verdict.kind],
        p=_p(pair, len(comparison.pairs)),
        metrics=_metric_rows(pair),
        classes=classes,
        num_classes_left=len(names) - len(listed),
        flips=flips,
    )


def _metric_rows(pair: Pair) -> list[Row]:
    """Return the metrics, proportions drawn to one scale, each loss to its own."""
    losses = [one for one in pair.differences if one.metric in ("log_loss", "brier")]
    shares = [one for one in pair.differences if one not in losses]
    scales = {one.metric: _scale(shares) for one in shares} | {one.metric: _scale([one]) for one in losses}
    return [_row(one, SHOWN[one.metric], scale=scales[one.metric]) for one in pair.differences]


def _row(one: Difference, name: str, *, scale: float, **counts: str) -> Row:
    ends = ""
    if one.low is not None and one.high is not None:
        shown = [show_difference(one.metric, end).removesuffix(" points") for end in (one.low, one.high)]
        ends = " to ".join(shown)
    return Row(
        name=name,
        a=show(one.a),
        b=show(one.b),
        difference=show_difference(one.metric, one.value),
        ends=ends,
        bar=_bar(one, scale),
        **counts,
    )


def _bar(one: Difference, scale: float) -> Bar | None:
    if one.low is None or one.high is None or scale <= 0:
        return None
    low, point, high = (50 + 48 * value / scale for value in (one.low, one.value, one.high))
    is_clear = one.low * one.high > 0
    is_better = (one.value > 0) != (one.metric in LOWER_IS_BETTER)
    return Bar(
        low=low, width=high - low, point=point, tone=("better" if is_better else "worse") if is_clear else "even"
    )


def _scale(differences: Sequence[Difference]) -> float:
    ends = [abs(end) for one in differences for end in (one.low, one.high) if end is not None]
    return max(ends, default=0.0)


def _worst_first(one: Difference) -> tuple[bool, float]:
    is_undefined = one.value != one.value
    return is_undefined, 0.0 if is_undefined else one.value


def _support(comparison: Comparison) -> list[int]:
    labels = comparison.first.labels
    if labels.ndim == 2:
        return [int(count) for count in labels.sum(axis=0)]
    return [int((labels == index).sum()) for index in range(len(comparison.first.class_names))]


def _p(pair: Pair, num_pairs: int) -> str:
    corrected = f"; {_p_value(pair.p_holm)} after Holm's correction for {num_pairs} pairs" if num_pairs > 1 else ""
    return f"p {_p_value(pair.p)}{corrected}, by {_TESTS[pair.test]}"


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}" if p < 0.1 else f"= {p:.2f}"
