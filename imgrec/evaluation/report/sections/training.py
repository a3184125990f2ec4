"""Training curves of the run that trained the model, from its history.csv."""

from collections.abc import Mapping, Sequence

from imgrec.evaluation.report.blocks import Absent, Block, Chart, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder

__all__ = ["training_section"]

SPLITS = {"train": "training", "val": "validation"}
USUAL = ("loss", "accuracy", "f1", "learning rate")
LEAD = "Where the validation loss rises while the training loss still falls, the model overfits."


def training_section(folder: EvaluationFolder) -> Section:
    """Return loss, metrics and learning rate over epochs."""
    rows = folder.history
    try:
        epochs = [int(float(row["epoch"])) + 1 for row in rows]
        blocks = _charts(rows, epochs)
    except (KeyError, TypeError, ValueError):
        text = "history.csv of the run is damaged; the checkpoint holds the same rows."
        blocks = [Absent(text, is_damaged=True)]
    if not blocks:
        text = "No history.csv in the parent folder: this evaluation is not part of a training run."
        blocks = [Absent(text, "python train.py run_dir=outputs/mine")]
    return Section("training", "Training curves", LEAD, blocks)


def _charts(rows: Sequence[Mapping[str, str]], epochs: Sequence[int]) -> list[Block]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    metrics = list(dict.fromkeys(name.partition("/")[2] for name in names if name.partition("/")[0] in SPLITS))
    groups = {metric: {f"{split}/{metric}": title for split, title in SPLITS.items()} for metric in metrics}
    groups["learning rate"] = rates = {name: name.removeprefix("lr/") for name in names if name.startswith("lr/")}
    if rates and len({tuple(row.get(name) for row in rows) for name in rates}) == 1:
        groups["learning rate"] = {next(iter(rates)): "learning rate"}
    shown = [name for name in USUAL if name in groups]
    shown = [*shown, *(name for name in metrics if name not in shown)][:4]
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
    y = {"label": name, "percent": name == "accuracy"}
    title = {"f1": "F1"}.get(name, name)
    return Chart("lines", title, {"x": {"label": "epoch", "whole": True}, "y": y, "series": series})
