"""Tables over folds or seeds: `folds.csv` or `seeds.csv`, and the one printed below the jobs of a sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgrec.training.sweep.fold_scores import FOLD, Interval, Summary

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_summaries", "table_name", "table_rows"]


def table_name(summaries: Sequence[Summary]) -> str:
    """Return the name of the file: `folds.csv` or `seeds.csv`."""
    return f"{_over(summaries)}.csv"


def _over(summaries: Sequence[Summary]) -> str:
    return "folds" if summaries[0].over == FOLD else "seeds"


def _keys(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(key for summary in summaries for key in summary.setting))


def table_rows(summaries: Sequence[Summary]) -> tuple[list[str], list[list[Any]]]:
    """Return the header of the file, and a row for each setting and metric."""
    keys = _keys(summaries)
    header = [*keys, "metric", _over(summaries), "mean", "std", "low_95", "high_95", "test_to_train"]
    rows = [
        [*map(summary.setting.get, keys), name, of.count, of.mean, of.std, of.low, of.high, summary.ratio or None]
        for summary in summaries
        for name, of in summary.scores.items()
    ]
    return header, rows


def show_summaries(summaries: Sequence[Summary], names: Sequence[str], *, console: "Console") -> None:
    """Print a line for each setting with the metrics `names`, and how the intervals are computed."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    shown = [key for key in _keys(summaries) if len({summary.setting.get(key) for summary in summaries}) > 1]
    table = Table(title=f"Over {_over(summaries)}: mean and 95 % interval", box=SIMPLE)
    for heading in [*shown, _over(summaries), *names]:
        table.add_column(heading, overflow="fold")
    for summary in summaries:
        scores = [_interval_text(summary.scores.get(name)) for name in names]
        cells = [*(summary.setting.get(key, "") for key in shown), _count_text(summary), *scores]
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print(_on_intervals(summaries), highlight=False, soft_wrap=True)


def _count_text(summary: Summary) -> str:
    count = max(score.count for score in summary.scores.values())
    missing = summary.num_jobs - summary.num_done
    return f"{count}, without {missing} of {summary.num_jobs} jobs" if missing else str(count)


def _interval_text(score: Interval | None) -> str:
    if score is None or score.high is None:
        return "" if score is None else f"{score.mean:.4g}"
    return f"{score.mean:.4g} ± {score.high - score.mean:.2g}"


def _on_intervals(summaries: Sequence[Summary]) -> str:
    if summaries[0].over != FOLD:
        return "Intervals: Student's t over seeds. They are about randomness of training, not about other data."
    return (
        f"Intervals: Student's t over folds, with the variance corrected for training images that folds share "
        f"(Nadeau and Bengio 2003, test to train {summaries[0].ratio:.3g}). They are approximate."
    )
