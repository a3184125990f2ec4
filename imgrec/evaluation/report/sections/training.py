"""The curves of the run that made the network, from its history.csv."""

from collections.abc import Mapping, Sequence

from imgrec.evaluation.report.blocks import Absent, Block, Chart, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder

__all__ = ["training_section"]

PARTS = {"train": "training", "val": "validation"}
LEAD = "How the network got here, epoch by epoch. Where validation turns while training goes on, it learns by heart."


def training_section(folder: EvaluationFolder) -> Section:
    """Return loss, scores and learning rate over epochs."""
    rows = folder.history
    try:
        epochs = [int(float(row["epoch"])) + 1 for row in rows]
        charts = _charts(rows, epochs)
    except (KeyError, TypeError, ValueError):
        problem = Absent("history.csv of the run is damaged; the checkpoint holds its rows too.", is_damaged=True)
        return Section("training", "Training", LEAD, [problem])
    if not charts:
        text = "No history.csv in the folder above: this evaluation is not inside the folder of a training run."
        return Section("training", "Training", LEAD, [Absent(text, "python train.py run_dir=outputs/mine")])
    return Section("training", "Training", LEAD, charts)


def _charts(rows: Sequence[Mapping[str, str]], epochs: Sequence[int]) -> list[Block]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    scores = list(dict.fromkeys(name.partition("/")[2] for name in names if name.partition("/")[0] in PARTS))
    groups = {score: {f"{part}/{score}": title for part, title in PARTS.items()} for score in scores}
    groups["learning rate"] = {name: name.removeprefix("lr/") for name in names if name.startswith("lr/")}
    rates = groups["learning rate"]
    if rates and len({tuple(row.get(name) for row in rows) for name in rates}) == 1:
        groups["learning rate"] = {next(iter(rates)): "rate"}
    usual: tuple[str, ...] = ("loss", "accuracy", "f1", "learning rate")
    shown = [name for name in usual if name in groups]
    shown = [*shown, *(name for name in scores if name not in shown)][:4]
    charts = (_chart(name, groups[name], rows, epochs) for name in shown)
    return [chart for chart in charts if chart.data["series"]]


def _chart(name: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, str]], epochs: Sequence[int]) -> Chart:
    series = []
    for column, title in columns.items():
        points = [(epoch, float(row[column])) for epoch, row in zip(epochs, rows, strict=True) if row.get(column)]
        points = [(epoch, value) for epoch, value in points if abs(value) < 1e300]  # no NaN and no infinity
        if points:
            marks = {"look": "dots"} if len(points) == 1 else {}
            series.append({"name": title, "x": [x for x, _ in points], "y": [y for _, y in points], **marks})
    is_score = name not in ("loss", "learning rate")
    y = {"label": name, "percent": is_score and name == "accuracy"}
    return Chart("lines", f"{name} over epochs", {"x": {"label": "epoch", "whole": True}, "y": y, "series": series})
