"""What a contest leaves: baselines.json, a table of predictions per baseline, and a table for the terminal."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgrec.core.files.json_file import write_json
from imgrec.core.system.hardware import num_processors
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.intervals import RESAMPLES
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions, visible
from imgrec.evaluation.statistics.proportions import wilson
from imgrec.studies.baselines.network import NetworkLine
from imgrec.studies.baselines.run import Baseline, Contest

__all__ = ["BASELINES", "FORMAT", "print_contest", "to_json", "write_contest"]

FORMAT = 1
BASELINES = "baselines.json"
COLUMNS = ("", "accuracy", "95 %", "F1 macro", "features", "fit", "an image", "size")
FIRST_TO_GO = ("features", "F1 macro", "size", "fit")
UNLIMITED = 1000


def write_contest(contest: Contest, folder: Path, *, network: NetworkLine | None = None) -> dict[str, Any]:
    """Write the tables, then baselines.json, into `folder` and, with a network, into its evaluation folder.

    Returns: the contents of baselines.json, which by its being there says that all is whole.
    Raises: RunFolderError: a file cannot be written.
    """
    (folder / BASELINES).unlink(missing_ok=True)  # of an earlier contest: not beside tables of this one
    for baseline in contest.baselines:
        write_parquet(baseline.predictions, folder / baseline.name / "predictions.parquet")
    content = to_json(contest, folder=folder, network=network)
    for place in [folder] if network is None else [folder, network.folder]:
        write_json(place / BASELINES, content)
    return content


def to_json(contest: Contest, *, folder: Path, network: NetworkLine | None = None) -> dict[str, Any]:
    """Return what baselines.json holds; baselines best first."""
    return {
        "format": FORMAT,
        "split": contest.scored,
        "task": "single",
        "num_classes": len(contest.class_names),
        "num_train": contest.sizes["train"],
        "num_val": contest.sizes.get("val", 0) if contest.scored != "val" else 0,
        "num_test": contest.sizes[contest.scored],
        "seed": contest.seed,
        "data_fingerprint": contest.data_fingerprint,
        "image_size_px": list(contest.look.height_width),
        "is_gray": contest.look.is_gray,
        "num_cores": num_processors(),
        "notes": list(contest.notes),
        "folder": str(folder),
        "baselines": [_row(baseline) for baseline in contest.baselines],
        "network": None if network is None else _network_row(network),
    }


def accuracy_of(predictions: Predictions) -> dict[str, Any]:
    """Return accuracy, its 95 % interval, the number of errors, and macro F1 (None: undefined).

    The interval is that of an evaluation: Wilson's, or with groups by resampling these; None where all are of one.
    """
    is_grouped = predictions.groups is not None
    scores = compute_metrics(predictions, resamples=RESAMPLES if is_grouped else 0)
    right, macro_f1 = len(predictions) - scores["num_errors"], scores["f1"]["macro"]
    interval = scores["intervals"]["accuracy"] if is_grouped else wilson(right, len(predictions)).tolist()
    return {
        "accuracy": scores["accuracy"],
        "accuracy_interval": interval,
        "num_errors": scores["num_errors"],
        "macro_f1": None if math.isnan(macro_f1) else macro_f1,
    }


def _row(baseline: Baseline) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "features": baseline.features,
        "model": baseline.model,
        "is_floor": baseline.is_floor,
        "num_features": baseline.num_features,
        **accuracy_of(baseline.predictions),
        "fit_s": baseline.fit_s,
        "tune_s": baseline.tune_s,
        "feature_ms_per_image": baseline.feature_ms_per_image,
        "predict_ms_per_image": baseline.predict_ms_per_image,
        "size_bytes": baseline.size_bytes,
        "scores": baseline.scores,
        "settings": dict(baseline.settings),
        "chosen_on": baseline.chosen_on,
        "tried": [{"settings": dict(settings), "accuracy": accuracy} for settings, accuracy in baseline.tried],
        "note": _note(baseline),
        "predictions": f"{baseline.name}/predictions.parquet",
    }


def _note(baseline: Baseline) -> str | None:
    notes = list(baseline.notes)
    if baseline.scores == "decision_values":
        notes.append("Its scores are decision values: good for ranking, no probabilities.")
    return " ".join(notes) or None


def _network_row(network: NetworkLine) -> dict[str, Any]:
    return {
        "name": network.name,
        **accuracy_of(network.predictions),
        "fit_s": network.fit_s,
        "predict_ms_per_image": network.predict_ms_per_image,
        "size_bytes": network.size_bytes,
        "source": network.source,
        "folder": str(network.folder),
    }


def print_contest(content: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print baselines.json as one table, best first, the network among its baselines.

    A narrow terminal gets fewer columns: baselines.json has them all.
    """
    console = console or Console()
    for gone in range(len(FIRST_TO_GO) + 1):
        table = _table(content, _without(FIRST_TO_GO[:gone]), console)
        width = console.measure(table, options=console.options.update(width=UNLIMITED)).maximum
        if width <= console.width:
            break
    console.print(table, width=width, crop=False)
    for note in _all_notes(content):
        console.print(_plain(f"Note: {note}", console), soft_wrap=True)


def _without(gone: Collection[str]) -> list[str]:
    return [column for column in COLUMNS if column not in gone]


def _table(content: Mapping[str, Any], columns: Sequence[str], console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    rows = [(_cells(row), is_network) for row, is_network in _in_order(content)]
    for column in columns:
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for cells, is_network in rows:
        table.add_row(*(_plain(cells[column], console) for column in columns), style="bold" if is_network else None)
    return table


def _in_order(content: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], bool]]:
    rows = [(row, False) for row in content["baselines"]]
    if content["network"] is not None:
        rows.append((content["network"], True))
    return sorted(rows, key=lambda pair: -pair[0]["accuracy"])


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what a line shows, by the heads in `COLUMNS`."""
    ends = row["accuracy_interval"]
    num_features = row.get("num_features")
    cells = (
        row["name"],
        f"{row['accuracy']:.4f}",
        "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}",
        "undefined" if row["macro_f1"] is None else f"{row['macro_f1']:.4f}",
        f"{num_features:,}" if num_features else "-",
        "-" if row["fit_s"] is None else _seconds(row["fit_s"]),
        "-" if row["predict_ms_per_image"] is None else f"{row['predict_ms_per_image']:.2f} ms",
        "-" if row["size_bytes"] is None else _size(row["size_bytes"]),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _all_notes(content: Mapping[str, Any]) -> list[str]:
    """Return the notes on all, then those on baselines, each once, with the names that it is about."""
    about: dict[str, list[str]] = {}
    for row in content["baselines"]:
        if row["note"]:
            about.setdefault(row["note"], []).append(row["name"])
    return [*content["notes"], *(f"{', '.join(names)}: {note}" for note, names in about.items())]


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def _size(count: int) -> str:
    if count < 1e5:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def _plain(text: str, console: Console) -> Text:
    """Return text without control characters, in letters that the terminal has."""
    return Text(visible(text).encode(console.encoding, "backslashreplace").decode(console.encoding))
