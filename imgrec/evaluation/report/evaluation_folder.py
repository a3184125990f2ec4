"""What an evaluation left in its folder, read for its page: a file that is missing or damaged is a fact, no error."""

import base64
import csv
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from imgrec.core.files import arrow_table as arrow
from imgrec.core.files.json_file import plain
from imgrec.errors import DataError
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions, visible

__all__ = ["EvaluationFolder", "Part", "read_folder", "read_json", "read_thumbnails"]

FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A file of the folder. data: what it holds, None where it is not there; problem: why it cannot be used."""

    name: str
    data: dict[str, Any] | None = None
    problem: str = ""


@dataclass(frozen=True)
class EvaluationFolder:
    """The folder of an evaluation.

    predictions: None where the table cannot be read; `problem` says why. scores: as `metrics.json` has them.
    thumbnails: data URIs of small copies, by the image's name. history: the rows of `history.csv` of the run.
    """

    path: Path
    predictions: Predictions | None
    problem: str
    scores: dict[str, Any]
    thumbnails: dict[str, str]
    history: list[dict[str, str]] = field(default_factory=list)

    def part(self, name: str) -> Part:
        """Return a JSON file of the folder."""
        return read_json(self.path / name)

    @cached_property
    def common(self) -> str:
        """The folder that all images lie in, with its last slash; "" where there is none."""
        names = self.predictions.names if self.predictions is not None else []
        first, last = min(names, default=""), max(names, default="")  # what these two share, all names share
        pairs = enumerate(zip(first, last, strict=False))
        end = next((place for place, (a, b) in pairs if a != b), 0)
        return first[: max(first.rfind("/", 0, end), first.rfind("\\", 0, end)) + 1]

    def short(self, name: str) -> str:
        """Return an image's name as the page shows it, without the folder that all lie in."""
        return visible(name.removeprefix(self.common))

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` holds; empty where it cannot be read."""
        return self.part("provenance.json").data or {}

    @property
    def is_of_training(self) -> bool:
        """Whether this is the end of a training, so that its data is what the network was trained on."""
        return self.provenance.get("job") == "train"

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of everything."""
        return [str(name) for name in self.scores["class_names"]]

    @property
    def is_multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return bool(self.scores["task"] == "multilabel")


def read_folder(path: Path) -> EvaluationFolder:
    """Read the folder. Raises: DataError: neither a table of predictions nor scores in it."""
    predictions, problem = None, ""
    try:
        predictions = read_parquet(path / "predictions.parquet")
    except DataError as error:
        problem = str(error)
    metrics = read_json(path / "metrics.json")
    scores = metrics.data
    if scores is None and predictions is not None:
        scores = plain(compute_metrics(predictions))
    if scores is None or not _is_scores(scores):
        reason = problem or metrics.problem or "metrics.json has another form"
        raise DataError(
            f"{visible(str(path))} is not the folder of an evaluation: {reason}. Give the folder that holds "
            "predictions.parquet and metrics.json: a run's evaluation/, or the run_dir of evaluate.py."
        )
    thumbnails = {name: as_uri(content) for name, content in read_thumbnails(path).items()}
    return EvaluationFolder(path, predictions, problem, scores, thumbnails, _read_history(path.parent))


def read_json(path: Path) -> Part:
    """Read a JSON file whose top level is an object, of format 1 where it says one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Part(path.name)
    except (OSError, ValueError) as error:
        return Part(path.name, problem=f"{path.name} cannot be read: {_first_line(error)}.")
    if not isinstance(data, dict):
        return Part(path.name, problem=f"{path.name} holds no JSON object.")
    if data.get("format", FORMAT) != FORMAT:
        return Part(path.name, problem=f"{path.name} has format {data['format']!r}; this imgrec reads {FORMAT}.")
    return Part(path.name, data)


def _is_scores(scores: dict[str, Any]) -> bool:
    names = scores.get("class_names")
    return isinstance(names, list) and scores.get("task") in ("single", "multilabel") and bool(scores.get("per_class"))


def read_thumbnails(path: Path) -> dict[str, bytes]:
    """Return small images, as PNG or JPEG files, by name.

    None where `thumbnails.parquet` is missing or damaged: a page lives without.
    """
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
    return visible((str(error).splitlines() or [type(error).__name__])[0])
