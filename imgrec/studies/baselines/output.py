"""Results of baselines: baselines.json, predictions of each baseline, and a table for the terminal."""

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
from imgrec.core.text import printable
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.intervals import RESAMPLES
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.proportions import wilson
from imgrec.studies.baselines.model_row import ModelRow
from imgrec.studies.baselines.run import Baseline, BaselineTable

__all__ = ["BASELINES", "FORMAT", "print_baselines", "to_json", "write_baselines"]

FORMAT = 1
BASELINES = "baselines.json"
COLUMNS = ("", "accuracy", "95 % interval", "macro F1", "features", "fit", "per image", "size")
DROPPED_FIRST = ("features", "macro F1", "size", "fit")  # where the terminal is narrow
UNLIMITED = 1000


def write_baselines(table: BaselineTable, folder: Path, *, network: ModelRow | None = None) -> dict[str, Any]:
    """Write predictions, then baselines.json, into `folder`; with a model, baselines.json into its evaluation too.

    Returns:
        The contents of baselines.json; the file exists only if everything has been written.

    Raises:
        RunFolderError: A file cannot be written.
    """
    (folder / BASELINES).unlink(missing_ok=True)  # of an earlier run: its predictions are about to be replaced
    for baseline in table.baselines:
        write_parquet(baseline.predictions, folder / baseline.name / "predictions.parquet")
    content = to_json(table, folder=folder, network=network)
    for place in [folder] if network is None else [folder, network.folder]:
        write_json(place / BASELINES, content)
    return content


def to_json(table: BaselineTable, *, folder: Path, network: ModelRow | None = None) -> dict[str, Any]:
    """Return the contents of baselines.json, best baseline first."""
    return {
        "format": FORMAT,
        "split": table.scored,
        "task": "single",
        "num_classes": len(table.class_names),
        "num_train": table.sizes["train"],
        "num_val": table.sizes.get("val", 0) if table.scored != "val" else 0,
        "num_test": table.sizes[table.scored],
        "seed": table.seed,
        "data_fingerprint": table.data_fingerprint,
        "image_size_px": list(table.facts.height_width),
        "is_gray": table.facts.is_gray,
        "num_cores": num_processors(),
        "notes": list(table.notes),
        "folder": str(folder),
        "baselines": [_row(baseline) for baseline in table.baselines],
        "network": None if network is None else _network_row(network),
    }


def accuracy_of(predictions: Predictions) -> dict[str, Any]:
    """Return accuracy, its 95 % interval, the number of errors, and macro F1 (None where undefined).

    The interval is that of an evaluation: Wilson's, or a bootstrap over groups; None where there is one group only.
    """
    is_grouped = predictions.groups is not None
    scores = compute_metrics(predictions, resamples=RESAMPLES if is_grouped else 0)
    num_correct, macro_f1 = len(predictions) - scores["num_errors"], scores["f1"]["macro"]
    interval = scores["intervals"]["accuracy"] if is_grouped else wilson(num_correct, len(predictions)).tolist()
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
        "is_majority_class": baseline.is_majority_class,
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
        notes.append("Its scores are decision values, not probabilities.")
    return " ".join(notes) or None


def _network_row(network: ModelRow) -> dict[str, Any]:
    return {
        "name": network.name,
        **accuracy_of(network.predictions),
        "fit_s": network.fit_s,
        "predict_ms_per_image": network.predict_ms_per_image,
        "size_bytes": network.size_bytes,
        "source": network.source,
        "folder": str(network.folder),
    }


def print_baselines(content: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print baselines.json as a table, best first, with the model in it; a narrow terminal gets fewer columns."""
    console = console or Console()
    for dropped in range(len(DROPPED_FIRST) + 1):
        table = _table(content, _without(DROPPED_FIRST[:dropped]), console)
        width = console.measure(table, options=console.options.update(width=UNLIMITED)).maximum
        if width <= console.width:
            break
    console.print(table, width=width, crop=False)
    for note in _all_notes(content):
        console.print(_plain(f"Note: {note}", console), soft_wrap=True)


def _without(dropped: Collection[str]) -> list[str]:
    return [column for column in COLUMNS if column not in dropped]


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
    """Return the cells of a row by the names in `COLUMNS`."""
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
    """Return general notes, then notes on baselines, each once, with the names that they are about."""
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
    """Return text without control characters, in the encoding of the terminal."""
    return Text(printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding))
