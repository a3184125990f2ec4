"""What a row of the table says of one image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from imgrec.deploy.predict.pipeline import Answer
from imgrec.errors import ConfigError
from imgrec.evaluation.decisions import Decided, Decisions

__all__ = ["Column", "Counts", "Row", "RowMaker"]

Kind = Literal["text", "number", "flag", "texts", "numbers"]
Row = dict[str, Any]
_DIGITS = 6  # of a probability; float32 has no more to say
_DIGITS_OF_LOGIT = 9  # that give the very float32 back


@dataclass(frozen=True)
class Column:
    """name: of the column. kind: of its values, any of which may be None."""

    name: str
    kind: Kind


@dataclass
class Counts:
    """How many images there were, how many of them were bad by reason, and how many each reject rule turned down."""

    images: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[Row]) -> None:
        """Count rows."""
        self.images += len(rows)
        for row in rows:
            if row["error"] is not None:
                self.bad[row["error"]] += 1
            self.rejected.update(
                name.removeprefix("accepted:") for name in row if name.startswith("accepted:") and row[name] is False
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"images": self.images, "bad": dict(self.bad), "rejected": dict(self.rejected)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Counts":
        """Read what `to_dict` gave."""
        return cls(int(values["images"]), Counter(values["bad"]), Counter(values["rejected"]))


class RowMaker:
    """Makes rows by the decisions of a model.

    top_k: of the most probable classes, name and probability each. with_logits: a list in the order of the classes.
    with_time: a column for the time in a video. Raises: ConfigError: more than there are classes.
    """

    def __init__(self, decisions: Decisions, *, top_k: int, with_logits: bool, with_time: bool) -> None:
        if top_k > len(decisions.class_names):
            raise ConfigError(f"--top-k {top_k}, but the model knows {len(decisions.class_names)} classes.")
        self._decisions = decisions
        self._top_k = top_k
        self._with_logits = with_logits
        self.columns = _columns(decisions, top_k=top_k, with_logits=with_logits, with_time=with_time)

    def rows(self, answers: Sequence[Answer]) -> list[Row]:
        """Return a row for each answer, with every column."""
        good = [answer.logits for answer in answers if answer.logits is not None]
        logits = np.stack(good) if good else np.empty((0, len(self._decisions.class_names)), dtype=np.float32)
        decided = self._decisions.decide(logits)
        rows: list[Row] = []
        place = 0
        for answer in answers:
            row: Row = dict.fromkeys(column.name for column in self.columns)
            row["path"] = answer.name
            if "time_s" in row:
                row["time_s"] = answer.time_s
            if answer.error is not None:
                row.update(error=answer.error.code, detail=answer.error.detail)
            else:
                row.update(self._say(decided, place, logits[place]))
                place += 1
            rows.append(row)
        return rows

    def _say(self, decided: Decided, place: int, logits: Any) -> Row:
        said = decided.describe(place)
        row: Row = {"label": said["label"], "probability": _rounded(said["confidence"])}
        probabilities = decided.probabilities[place]
        for rank, index in enumerate(np.argsort(-probabilities, kind="stable")[: self._top_k], start=1):
            row[f"label_{rank}"] = decided.class_names[index]
            row[f"probability_{rank}"] = _rounded(probabilities[index])
        for column, key in _RULES.items():
            row.update({f"{column}:{name}": value for name, value in said[key].items()})
        if self._with_logits:
            row["logits"] = [float(f"{logit:.{_DIGITS_OF_LOGIT}g}") for logit in logits]
        return row


_RULES = {"accepted": "accepted", "set": "sets", "positive": "positive", "cheapest": "cheapest"}


def _columns(decisions: Decisions, *, top_k: int, with_logits: bool, with_time: bool) -> list[Column]:
    columns = [Column("path", "text"), *([Column("time_s", "number")] if with_time else [])]
    columns += [Column("label", "texts" if decisions.task == "multilabel" else "text"), Column("probability", "number")]
    for rank in range(1, top_k + 1):
        columns += [Column(f"label_{rank}", "text"), Column(f"probability_{rank}", "number")]
    columns += [Column(f"accepted:{name}", "flag") for name in decisions.reject]
    columns += [Column(f"set:{name}", "texts") for name in decisions.conformal]
    columns += [Column(f"positive:{name}", "texts") for name in decisions.operating_points]
    columns += [Column(f"cheapest:{name}", "text") for name in decisions.costs]
    columns += [Column("logits", "numbers")] if with_logits else []
    return [*columns, Column("error", "text"), Column("detail", "text")]


def _rounded(probability: float) -> float:
    return float(f"{probability:.{_DIGITS}g}")
