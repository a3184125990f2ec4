"""Slices, robustness to corruptions, adversarial robustness, test-time augmentation."""

from collections.abc import Mapping, Sequence
from typing import Any

from imgrec.core.text import printable
from imgrec.evaluation.report.blocks import Block, Cell, Chart, Column, Facts, Paragraph, Table, notes
from imgrec.evaluation.report.sections.numbers import count, duration, interval, percent

__all__ = ["attack_blocks", "robustness_blocks", "slices_blocks", "tta_blocks"]

ATTACKS = {"noise": "random noise", "fgsm": "FGSM, one step", "pgd": "PGD, many steps", "rays": "RayS, labels only"}
NORMS = {"linf": "L-infinity perturbations", "l2": "L2 perturbations"}
TONES = {"worse": "bad", "better": "good", "too small": "soft"}
NUM_SLICES = 20


def slices_blocks(data: dict[str, Any]) -> list[Block]:
    """Return the slices of `slices.json`, the worst first."""
    overall, titles = data["overall"], {column["name"]: column["title"] for column in data["columns"]}
    bad = [row for row in data["slices"] if row["verdict"] == "worse"]
    verdict = (
        f"{count(len(bad))} of {count(len(data['slices']), 'slice')} {'is' if len(bad) == 1 else 'are'} significantly "
        "worse than the rest (Holm-corrected)."
        if bad
        else f"None of {count(len(data['slices']), 'slice')} is significantly worse than the rest (Holm-corrected)."
    )
    blocks: list[Block] = [
        Paragraph(f"{verdict} Overall {_name(data)}: {_with_interval(overall)}."),
        _slice_table("Slices", data["slices"], titles, metric=_name(data)),
        *_meanings(titles),
    ]
    if data["by_confidence"]:
        text = "By confidence of the prediction; lower confidence is expected to be worse:"
        rows = _slice_table("By confidence", data["by_confidence"], titles, metric=_name(data), has_verdict=False)
        blocks += [Paragraph(text), rows]
    skipped = [
        printable(f"{str(row['column']).removeprefix('image:').removeprefix('meta:')} ({row['reason']})")
        for row in data["excluded"]
    ]
    blocks += [Paragraph(f"Skipped columns: {'; '.join(skipped)}.", "note")] if skipped else []
    return [*blocks, *notes(data)]


def _meanings(titles: Mapping[str, str]) -> list[Block]:
    """Return the definitions of the columns that the table shows by their name alone."""
    pairs = [_parted(title) for title in titles.values()]
    text = "; ".join(f"{name}: {printable(meaning)}" for name, meaning in pairs if meaning)
    return [Paragraph(f"{text[:1].upper()}{text[1:]}.", "note")] if text else []


def _parted(title: str) -> tuple[str, str]:
    """Split "brightness (mean gray value)" into name and definition."""
    name, _, meaning = str(title).partition(" (")
    return printable(name), meaning.removesuffix(")")


def _slice_table(
    name: str, rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], *, metric: str, has_verdict: bool = True
) -> Table:
    columns = [Column("column"), Column("slice"), Column("images", "number"), Column(metric, "bar")]
    columns += [Column("difference to the rest", "number"), Column("verdict")] if has_verdict else []
    cells = []
    for row in rows:
        line = [
            Cell(_parted(titles.get(row["column"], row["column"]))[0]),
            Cell(_label(row), row["low"] if row["low"] is not None else None),
            Cell(count(row["num_samples"]), row["num_samples"]),
            Cell(percent(row["score"]), row["score"], share=row["score"], low=row["score_low"], high=row["score_high"]),
        ]
        if has_verdict:
            verdict = str(row["verdict"])
            line.append(Cell(_points(row), row["difference"], note=_ends(row)))
            line.append(Cell(verdict, tone=TONES.get(verdict, "soft")))
        cells.append(line)
    return Table(name, columns, cells, search="slice" if len(cells) > 12 else "", num_shown=NUM_SLICES)


def _label(row: Mapping[str, Any]) -> str:
    shown = printable(str(row["label"]))
    return shown if row["low"] is None else shown.replace(" ", "\N{NO-BREAK SPACE}")  # no line break within a range


def _points(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return ""
    return f"{100 * row['difference']:+.1f}\N{NO-BREAK SPACE}points"


def _ends(row: Mapping[str, Any]) -> str:
    if row["difference_low"] is None or row["difference_high"] is None:
        return ""
    return f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"


def _name(data: Mapping[str, Any]) -> str:
    return {"micro_f1": "micro F1"}.get(str(data["score"]), str(data["score"]).replace("_", " "))


def _with_interval(entry: Mapping[str, Any]) -> str:
    bounds = interval(entry["low"], entry["high"])
    return percent(entry["score"]) + (f" ({bounds})" if bounds else "")


def robustness_blocks(data: dict[str, Any]) -> list[Block]:
    """Return a table of `robustness.json`: a row per corruption, a column per severity."""
    cells = {(cell["corruption"], cell["severity"]): cell for cell in data["cells"]}
    severities = sorted({severity for _, severity in cells})
    clean = float(data["clean"]["score"])
    means = {row["corruption"]: row for row in data["corruptions"]}
    ordered = sorted(means, key=lambda name: means[name]["score"])
    rows = []
    for name in ordered:
        line = [Cell(name.replace("_", " ")), Cell(str(means[name].get("family", "")))]
        line += [_heat(cells.get((name, severity)), clean) for severity in severities]
        rows.append([*line, _heat(means[name], clean)])
    columns = [
        Column("corruption"),
        Column("family", "detail"),
        *(Column(f"{severity}", "heat") for severity in severities),
    ]
    used = f"{count(data['num_samples'])} of {count(data['num_available'], 'image')}"
    lead = f"On uncorrupted images {_name(data)} is {_with_interval(data['clean'])}, on {used}. "
    drop = data.get("mean_relative_drop")
    lead += f"Mean relative drop over all corruptions: {percent(drop)}. " if drop is not None else ""
    mce = data.get("mce")
    lead += f"Mean corruption error relative to the given baseline: {percent(mce)}. " if mce is not None else ""
    lead += (
        f"The table shows {_name(data)} in percent for severities 1 to 5 (Hendrycks and Dietterich 2019); the "
        "stronger the colour, the larger the drop."
    )
    return [Paragraph(lead), Table("Robustness", [*columns, Column("mean", "heat")], rows), *notes(data)]


def _heat(cell: Mapping[str, Any] | None, clean: float) -> Cell:
    if cell is None or cell["score"] is None:
        return Cell("")
    value = float(cell["score"])
    lost = min(1.0, max(0.0, 1 - value / clean)) if clean else 0.0
    return Cell(f"{100 * value:.0f}", value, shade=lost)


def attack_blocks(data: dict[str, Any]) -> list[Block]:
    """Return accuracy under attack; failed checks of the attack come first."""
    checks = data.get("checks", [])
    failed = [check for check in checks if check.get("passed") is False]
    warning = "A check of the attack failed: {}. The model may be much less robust than shown below."
    blocks: list[Block] = [Paragraph(warning.format(_check(check)), "warning") for check in failed]
    used = f"{count(data['num_samples'])} of {count(data['num_available'], 'image')}"
    chance = f"; chance level {percent(data['chance'])}" if data.get("chance") is not None else ""
    blocks.append(
        Paragraph(f"On unperturbed images {_name(data)} is {_with_interval(data['clean'])}, on {used}{chance}.")
    )
    blocks += [_attack_chart(norm, data) for norm in data["norms"]]
    passed = [check for check in checks if check.get("passed")]
    if passed:
        names = "; ".join(map(_check, passed))
        blocks.append(Paragraph(f"Passed checks of the attack: {names}.", "note"))
    return [*blocks, *notes(data)]


def _check(check: Mapping[str, Any]) -> str:
    detail = printable(str(check.get("detail") or ""))
    return printable(str(check["name"])) + (f" ({detail})" if detail else "")


def _attack_chart(norm: Mapping[str, Any], data: Mapping[str, Any]) -> Chart:
    is_grey = norm["norm"] == "linf"
    by_attack: dict[str, list[Mapping[str, Any]]] = {}
    for cell in norm["cells"]:
        by_attack.setdefault(str(cell["attack"]), []).append(cell)
    clean = data["clean"]
    series = []
    for attack, cells in by_attack.items():
        ordered = sorted(cells, key=lambda cell: cell["eps"])
        sizes = [float(cell["eps_255"] if is_grey and cell["eps_255"] is not None else cell["eps"]) for cell in ordered]
        series.append({
            "name": ATTACKS.get(attack, attack),
            "x": [0.0, *sizes],
            "y": [clean["score"], *(cell["score"] for cell in ordered)],
            "low": [clean["low"], *(cell["low"] for cell in ordered)],
            "high": [clean["high"], *(cell["high"] for cell in ordered)],
            "look": "marked",
        })  # fmt: skip
    x = {"label": "perturbation, L-infinity norm in 1/255" if is_grey else "perturbation, L2 norm", "min": 0}
    y = {"label": _name(data), "min": 0, "max": 1, "percent": True}
    return Chart("lines", NORMS.get(norm["norm"], str(norm["norm"])), {"x": x, "y": y, "series": series})


def tta_blocks(data: dict[str, Any]) -> list[Block]:
    """Return gain and cost of `tta.json`."""
    gain, cost = data["difference"], data["cost"]
    ends = f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}"
    rows = [
        (f"{_name(data)} without TTA", _with_interval(data["plain"])),
        (f"{_name(data)} with TTA, {len(data['views'])} views", _with_interval(data["tta"])),
        ("difference", f"{100 * gain['difference']:+.2f} points ({ends}): {data['verdict']}"),
        ("predictions corrected", count(data["num_mended"])),
        ("predictions made incorrect", count(data["num_spoiled"])),
        ("cost", f"{cost['forward_passes']} forward passes per image, {cost['time_ratio']:.1f} times the time "
                 f"({duration(cost['tta_s'])} against {duration(cost['plain_s'])})"),
    ]  # fmt: skip
    return [Facts(rows), *notes(data)]
