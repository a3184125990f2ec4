"""A comparison as tables in the terminal: the metrics of all runs, then each pair and its verdict."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from imgrec.evaluation.compare.comparison import Comparison, metric_names
from imgrec.evaluation.compare.pairs import Pair
from imgrec.evaluation.compare.verdict import SHOWN, show, show_share
from imgrec.evaluation.terminal import plain_text

__all__ = ["print_comparison"]

MOST_PAIRS = 3  # with more, only their verdicts are printed
MOST_INTERVALS = 2  # runs whose intervals fit into 80 columns side by side


def print_comparison(comparison: Comparison, *, console: Console | None = None) -> None:
    """Print metrics, differences and verdicts."""
    console = console or Console()
    console.print(_run_table(comparison, console))
    if len(comparison.pairs) <= MOST_PAIRS:
        for pair in comparison.pairs:
            console.print(_pair_table(pair, console))
    for pair in comparison.pairs:
        p = f"p = {pair.p_holm:.2g}" if pair.p_holm >= 0.0001 else "p < 0.0001"
        verdict = comparison.judge(pair)
        console.print(plain_text(f"{verdict.text} [{p}]", console, bold=verdict.kind == "better"), soft_wrap=True)
    for note in comparison.notes:
        console.print(plain_text(f"Note: {note}", console), soft_wrap=True)


def _run_table(comparison: Comparison, console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric")
    for run in comparison.runs:
        count = len(run.run.tables)
        name = run.run.name if count == 1 else f"{run.run.name} (mean of {count})"
        table.add_column(plain_text(name, console), justify="right", overflow="fold")
    for name in metric_names(comparison.first):
        cells = [
            _metric(run.values[name], run.limits[name] if len(comparison.runs) <= MOST_INTERVALS else None)
            for run in comparison.runs
        ]
        table.add_row(_short(name), *cells)
    return table


def _metric(value: float, limits: tuple[float, float] | None) -> str:
    shown = show(value)
    return shown if limits is None else f"{shown} ({limits[0]:.4f} to {limits[1]:.4f})"


def _pair_table(pair: Pair, console: Console) -> Table:
    names = plain_text(f"{pair.b.run.name} minus {pair.a.run.name}", console)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(names, overflow="fold")
    table.add_column("difference (95 % interval)", justify="right")
    for one in pair.differences:
        table.add_row(_short(one.metric), show_share(one))
    flips = pair.flips
    table.add_row("images", f"{flips.num_gained:,} gained, {flips.num_lost:,} lost, {flips.num_changed:,} changed")
    return table


def _short(name: str) -> str:
    """Return the short name of a metric, as on the console of an evaluation."""
    return SHOWN[name].replace("average precision", "AP").replace("Matthews correlation", "Matthews")
