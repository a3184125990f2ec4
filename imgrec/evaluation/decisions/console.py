"""Calibration and decision rules of an evaluation in the terminal: a line, and a table of guarantees and results."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from imgrec.core.text import short
from imgrec.evaluation.decisions.naming import percent
from imgrec.evaluation.terminal import plain_text

__all__ = ["print_decided"]

Row = tuple[str, str, str, str]


def print_decided(written: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the result of `write_decided`: calibration, each rule with its guarantee, reasons and notes."""
    console = console or Console()
    calibration, outcome = written["calibration"], written["decisions"]
    console.print(_calibration(calibration), soft_wrap=True, highlight=False)
    rows = [*_reject(outcome), *_conformal(outcome), *_points(outcome), *_costs(outcome)]
    if rows:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("rule", "guarantee", "measured", "95 % interval"):
            table.add_column(name, justify="left" if name in ("rule", "guarantee") else "right", overflow="fold")
        for row in rows:
            table.add_row(*(plain_text(cell, console) for cell in row))
        console.print(table)
    lines = [f"{name} is not available: {reason}" for name, reason in outcome["refused"].items()]
    lines += [f"Note: {note}" for note in dict.fromkeys([*calibration["notes"], *outcome["notes"]])]
    for line in lines:
        console.print(plain_text(line, console), soft_wrap=True)


def _calibration(calibration: Mapping[str, Any]) -> str:
    before, after = calibration["before"], calibration["after"]
    uncalibrated = f"{before['ece_width']:.4f} uncalibrated (by chance {before['ece_by_chance']:.4f})"
    calibrated = f"{after['ece_width']:.4f} calibrated (by chance {after['ece_by_chance']:.4f})"
    return f"Calibration error (ECE): {uncalibrated}" + (
        f", {calibrated}; temperature {short(calibration['temperature'])}" if before != after else ""
    )


def _reject(outcome: Mapping[str, Any]) -> Iterator[Row]:
    for rule in outcome["reject"]:
        here = rule["here"]
        measured = f"{_shown(here['risk'])} ({here['num_accepted']:,} accepted)"
        yield rule["name"], f"error <= {percent(rule['risk'])} %", measured, _ends(here, "risk")


def _conformal(outcome: Mapping[str, Any]) -> Iterator[Row]:
    for rule in outcome["conformal"]:
        here = rule["here"]
        measured = f"{_shown(here['coverage'])} (mean size {here['mean_size']:.2f})"
        yield rule["name"], f"coverage >= {percent(rule['coverage'])} %", measured, _ends(here, "coverage")


def _points(outcome: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row per operating point, with the class that does worst."""
    for rule in outcome["operating_points"]:
        measure = rule["measure"]
        defined = [row for row in rule["here"] if row[measure] is not None]
        wanted = f"{measure} >= {percent(rule['target'])} %"
        if not defined:
            yield rule["name"], wanted, "undefined", ""
            continue
        worst = min(defined, key=lambda row: float(row[measure]))
        which = f" ({worst['class']}, lowest)" if len(defined) > 1 else f" ({worst['class']})"
        yield rule["name"], wanted, f"{_shown(worst[measure])}{which}", _ends(worst, measure)


def _costs(outcome: Mapping[str, Any]) -> Iterator[Row]:
    for rule in outcome["costs"]:
        here = rule["here"]
        measured = f"{here['mean_cost']:.4g} ({here['mean_cost_of_most_probable']:.4g} without)"
        yield rule["name"], "lowest mean cost", measured, ""


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"


def _ends(here: Mapping[str, Any], name: str) -> str:
    low, high = here[f"{name}_low"], here[f"{name}_high"]
    return "" if low is None else f"{100 * low:.1f} to {100 * high:.1f} %"
