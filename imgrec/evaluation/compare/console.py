"""A comparison as tables in the terminal: the scores of all runs, then each pair and its verdict."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgrec.evaluation.compare.comparison import Comparison, Pair, score_names
from imgrec.evaluation.compare.verdict import SHOWN, judge, show, show_share
from imgrec.evaluation.predictions.predictions import visible

__all__ = ["print_comparison"]

MOST_PAIRS = 3  # whose tables are printed; the verdicts of all are
MOST_INTERVALS = 2  # runs whose intervals fit into 80 columns beside each other


def print_comparison(comparison: Comparison, *, console: Console | None = None) -> None:
    """Print scores, differences and verdicts."""
    console = console or Console()
    console.print(_run_table(comparison, console))
    if len(comparison.pairs) <= MOST_PAIRS:
        for pair in comparison.pairs:
            console.print(_pair_table(pair, console))
    for pair in comparison.pairs:
        p = f"p = {pair.p_holm:.2g}" if pair.p_holm >= 0.0001 else "p < 0.0001"
        verdict = judge(pair, comparison)
        console.print(_plain(f"{verdict.text} [{p}]", console, bold=verdict.kind == "better"), soft_wrap=True)
    for note in comparison.notes:
        console.print(_plain(f"Note: {note}", console), soft_wrap=True)


def _run_table(comparison: Comparison, console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("score")
    for run in comparison.runs:
        count = len(run.run.tables)
        name = run.run.name if count == 1 else f"{run.run.name} (mean of {count})"
        table.add_column(_plain(name, console), justify="right", overflow="fold")
    for name in score_names(comparison.first):
        cells = [
            _score(run.values[name], run.limits[name] if len(comparison.runs) <= MOST_INTERVALS else None)
            for run in comparison.runs
        ]
        table.add_row(_short(name), *cells)
    return table


def _score(value: float, limits: tuple[float, float] | None) -> str:
    shown = show(value)
    return shown if limits is None else f"{shown} ({limits[0]:.4f} to {limits[1]:.4f})"


def _pair_table(pair: Pair, console: Console) -> Table:
    names = _plain(f"{pair.b.run.name} minus {pair.a.run.name}", console)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(names, overflow="fold")
    table.add_column("difference (95 % interval)", justify="right")
    for one in pair.differences:
        table.add_row(_short(one.score), show_share(one))
    flips = pair.flips
    table.add_row("images", f"{flips.num_gained:,} gained, {flips.num_lost:,} lost, {flips.num_changed:,} other")
    return table


def _short(name: str) -> str:
    """Return what a score is called where room is scarce, as on the console of an evaluation."""
    return SHOWN[name].replace("average precision", "AP").replace("Matthews correlation", "Matthews")


def _plain(text: str, console: Console, *, bold: bool = False) -> Text:
    """Return `text` as it is: no markup, no control characters, nothing that the terminal's encoding lacks."""
    shown = visible(text).encode(console.encoding, "backslashreplace").decode(console.encoding)
    return Text(shown, style="bold" if bold else "")
