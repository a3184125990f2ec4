"""The files of an evaluation's folder, read for its report. A missing or damaged file is recorded, not raised."""

import base64
import csv
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from imgrec.core.files import arrow_table as arrow
from imgrec.core.files.json_file import plain
from imgrec.core.text import printable
from imgrec.errors import DataError
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["EvaluationFolder", "JsonFile", "read_folder", "read_json", "read_thumbnails"]

FORMAT = 1
# Keys of earlier releases, and their present names.
RENAMED = {
    "foreign": "ood",
    "own": "in_distribution",
    "left_out": "excluded",
    "is_floor": "is_majority_class",
    "rivals": "baselines",
}
FORMER_FILES = {"baselines.json": "rivals.json"}


@dataclass(frozen=True)
class JsonFile:
    """A JSON file of the folder. data: its content, None where it is missing; problem: why it cannot be used."""

    name: str
    data: dict[str, Any] | None = None
    problem: str = ""


@dataclass(frozen=True)
class EvaluationFolder:
    """The folder of an evaluation.

    Attributes:
        predictions: None where the table cannot be read; `problem` is the reason.
        metrics: Content of `metrics.json`.
        thumbnails: Data URIs of small copies, by the path of the image.
        history: Rows of `history.csv` of the run.
    """

    path: Path
    predictions: Predictions | None
    problem: str
    metrics: dict[str, Any]
    thumbnails: dict[str, str]
    history: list[dict[str, str]] = field(default_factory=list)

    def file(self, name: str) -> JsonFile:
        """Read a JSON file of the folder; where it is missing, the file that earlier releases wrote instead."""
        path, former = self.path / name, self.path / FORMER_FILES.get(name, name)
        return read_json(path if path.exists() else former)

    @cached_property
    def common(self) -> str:
        """The common folder of all images, with its last slash; "" where there is none."""
        names = self.predictions.names if self.predictions is not None else []
        first, last = min(names, default=""), max(names, default="")  # a prefix of these two is one of all
        pairs = enumerate(zip(first, last, strict=False))
        end = next((index for index, (a, b) in pairs if a != b), 0)
        return first[: max(first.rfind("/", 0, end), first.rfind("\\", 0, end)) + 1]

    def short(self, name: str) -> str:
        """Return the path of an image as the page shows it, without the common folder."""
        return printable(name.removeprefix(self.common))

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Content of `provenance.json`; empty where it cannot be read."""
        return self.file("provenance.json").data or {}

    @property
    def is_of_training(self) -> bool:
        """Whether a training run made this evaluation, so that its data is what the model was trained on."""
        return self.provenance.get("job") == "train"

    @property
    def class_names(self) -> list[str]:
        """Class names, in the order of the labels."""
        return [str(name) for name in self.metrics["class_names"]]

    @property
    def is_multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return bool(self.metrics["task"] == "multilabel")


def read_folder(path: Path) -> EvaluationFolder:
    """Read the folder of an evaluation.

    Raises:
        DataError: It holds neither a table of predictions nor metrics.
    """
    predictions, problem = None, ""
    try:
        predictions = read_parquet(path / "predictions.parquet")
    except DataError as error:
        problem = str(error)
    file = read_json(path / "metrics.json")
    metrics = file.data
    if metrics is None and predictions is not None:
        metrics = plain(compute_metrics(predictions))
    if metrics is None or not _is_metrics(metrics):
        reason = problem or file.problem or "metrics.json has another format"
        raise DataError(
            f"{printable(str(path))} is not the folder of an evaluation: {reason}. Give the folder that holds "
            "predictions.parquet and metrics.json: a run's evaluation/, or the run_dir of evaluate.py."
        )
    thumbnails = {name: as_uri(content) for name, content in read_thumbnails(path).items()}
    return EvaluationFolder(path, predictions, problem, metrics, thumbnails, _read_history(path.parent))


def read_json(path: Path) -> JsonFile:
    """Read a JSON file whose top level is an object, with format 1 or no format number."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_renamed)
    except FileNotFoundError:
        return JsonFile(path.name)
    except (OSError, ValueError) as error:
        return JsonFile(path.name, problem=f"{path.name} cannot be read: {_first_line(error)}.")
    if not isinstance(data, dict):
        return JsonFile(path.name, problem=f"{path.name} is not a JSON object.")
    if data.get("format", FORMAT) != FORMAT:
        return JsonFile(path.name, problem=f"{path.name} has format {data['format']!r}; this imgrec reads {FORMAT}.")
    return JsonFile(path.name, data)


def _renamed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {RENAMED.get(key, key): value for key, value in pairs}


def _is_metrics(metrics: dict[str, Any]) -> bool:
    names = metrics.get("class_names")
    return (
        isinstance(names, list) and metrics.get("task") in ("single", "multilabel") and bool(metrics.get("per_class"))
    )


def read_thumbnails(path: Path) -> dict[str, bytes]:
    """Return the bytes of PNG or JPEG files by image path; empty where `thumbnails.parquet` is missing or damaged."""
    import pyarrow as pa

    try:
        with (path / "thumbnails.parquet").open("rb") as file:
            table = arrow.read_parquet(file, columns=["path", "image"])
        rows = zip(table["path"].to_pylist(), table["image"].to_pylist(), strict=True)
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return {}
    return {str(name): bytes(content) for name, content in rows if content}


def as_uri(content: bytes) -> str:
    """Return the bytes of a PNG, JPEG or WebP file as a data URI."""
    kind = "png" if content.startswith(b"\x89PNG") else "webp" if content.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _read_history(run: Path) -> list[dict[str, str]]:
    try:
        with (run / "history.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []


def _first_line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0])
