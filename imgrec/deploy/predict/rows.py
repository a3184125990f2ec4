"""Rows of the table of `imgrec predict`: the keys of a `Prediction`, and the logits if asked for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from imgrec.deploy.predict.pipeline import Output, to_predictions
from imgrec.evaluation.decisions import Decisions, Prediction

__all__ = ["Column", "Counts", "Row", "RowMaker"]

Kind = Literal["text", "integer", "number", "flag", "texts", "numbers", "probabilities"]
Row = dict[str, Any]
_DIGITS = 6  # of a probability: about what float32 logits determine
_DIGITS_OF_LOGIT = 9  # enough to restore the float32 exactly


@dataclass(frozen=True)
class Column:
    """A key of a row.

    Attributes:
        name: Of the key.
        kind: Of its value, which may be None: "text", "numbers" (a list), "probabilities" (by class name), ...
        rules: For a mapping by rule: its keys, whose values are of `kind`. Empty otherwise.
    """

    name: str
    kind: Kind
    rules: tuple[str, ...] = ()


@dataclass
class Counts:
    """Number of images, of bad ones by error code, and of rejected ones by reject rule."""

    images: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[Row]) -> None:
        """Count rows."""
        self.images += len(rows)
        for row in rows:
            if row["error"] is not None:
                self.bad[row["error"]] += 1
            self.rejected.update(name for name, is_rejected in (row.get("rejected") or {}).items() if is_rejected)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"images": self.images, "bad": dict(self.bad), "rejected": dict(self.rejected)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Counts":
        """Read what `to_dict` gave."""
        return cls(int(values["images"]), Counter(values["bad"]), Counter(values["rejected"]))


class RowMaker:
    """Makes rows from the outputs of a model.

    Args:
        decisions: Of the model.
        top_k: How many classes `probabilities` holds; None for all.
        with_logits: Add `logits`, a list in the order of the classes.
        with_time: Add `frame` and `time_s`.
    """

    def __init__(self, decisions: Decisions, *, top_k: int | None, with_logits: bool, with_time: bool) -> None:
        self._decisions = decisions
        self.top_k = top_k
        self.columns = _columns(decisions, with_logits=with_logits, with_time=with_time)

    def rows(self, outputs: Sequence[Output]) -> list[Row]:
        """Return a row for each output, with every column; a value that is not there is None."""
        predictions = to_predictions(outputs, self._decisions, top_k=self.top_k)
        return [self._row(output, prediction) for output, prediction in zip(outputs, predictions, strict=True)]

    def _row(self, output: Output, prediction: Prediction) -> Row:
        values = prediction.to_dict()
        if prediction.error is None:
            values["confidence"] = _rounded(values["confidence"], _DIGITS)
            values["probabilities"] = {name: _rounded(p, _DIGITS) for name, p in prediction.probabilities.items()}
        if output.logits is not None:
            values["logits"] = [_rounded(logit, _DIGITS_OF_LOGIT) for logit in output.logits]
        return {column.name: values.get(column.name) for column in self.columns}


def _columns(decisions: Decisions, *, with_logits: bool, with_time: bool) -> list[Column]:
    rules = [
        Column("rejected", "flag", tuple(decisions.reject)),
        Column("prediction_sets", "texts", tuple(decisions.conformal)),
        Column("operating_points", "texts", tuple(decisions.operating_points)),
        Column("lowest_cost", "text", tuple(decisions.costs)),
    ]
    return [
        Column("path", "text"),
        *([Column("frame", "integer"), Column("time_s", "number")] if with_time else []),
        Column("prediction", "texts" if decisions.task == "multilabel" else "text"),
        Column("confidence", "number"),
        Column("probabilities", "probabilities"),
        *(column for column in rules if column.rules),
        *([Column("logits", "numbers")] if with_logits else []),
        Column("error", "text"),
        Column("detail", "text"),
    ]


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
