"""`BundleInfo`, the description of a bundle: a JSON document in the metadata of the ONNX file, key `imgrec`.

It is data, never configuration: nothing that it names is imported or built, and unknown keys are refused. The schema
is in docs/export.md.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Task
from imgrec.errors import BundleError, ConfigError, DataError
from imgrec.evaluation.decisions import Decisions

__all__ = ["DOCUMENT_KEY", "FORMAT", "BundleInfo", "Described", "Input", "Precision"]

DOCUMENT_KEY = "imgrec"
FORMAT = 1

Input = Literal["pixels", "image"]
Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class BundleInfo:
    """What the graph of a bundle does not hold.

    Attributes:
        class_names: One per logit, in order.
        task: "single" or "multilabel".
        preprocess: Resizes an image to the input size; with `input="image"` the graph does it.
        decisions: Temperature and decision rules.
        input: "pixels": uint8 (N, height, width, 3), preprocessed. "image": uint8 (height, width, 3) of any size.
        precision: Of the weights.
        mean: Subtracted in the graph from pixels of 0 to 1; for the record.
        std: Divided by in the graph; for the record.
        training: Where the weights come from; plain data.
        parity: Result of the check at export; plain data.
    """

    class_names: Sequence[str]
    task: Task
    preprocess: Preprocess
    decisions: Decisions
    input: Input = "pixels"
    precision: Precision = "float32"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] | None = None

    def to_json(self) -> bytes:
        """Return the document; equal contents give equal bytes."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        parts = {"preprocess": self.preprocess.to_dict(), "decisions": self.decisions.to_dict()}
        content = own | parts | {"format": FORMAT}
        return json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True).encode("utf-8")

    @classmethod
    def from_json(cls, text: str) -> "BundleInfo":
        """Read and check the document.

        Raises:
            BundleError: Of a newer format, or a part is absent or not valid.
        """
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise BundleError("its description is not JSON") from None
        if not isinstance(content, dict) or type(content.get("format")) is not int:
            raise BundleError("its description has no format")
        if content.pop("format") != FORMAT:
            raise BundleError(f"of a format that this imgrec does not read (it reads {FORMAT}). Update imgrec")
        unknown = sorted(content.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            raise BundleError(f"its description has unknown parts: {', '.join(unknown)[:200]}")
        wrong = [name for name in _CHECKS if not _CHECKS[name](content.get(name, _DEFAULTS.get(name)))]
        if wrong:
            raise BundleError(f"parts of its description are absent or not valid: {', '.join(wrong)}")
        decisions = _decisions(content["decisions"])
        if (decisions.task, list(decisions.class_names)) != (content["task"], content["class_names"]):
            raise BundleError("its decisions are for other classes than it has")
        return cls(**content | {"preprocess": _preprocess(content["preprocess"]), "decisions": decisions})


class Described:
    """A model with a description; its properties are those of the description.

    Attributes:
        info: The description.
    """

    info: BundleInfo

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each logit."""
        return self.info.class_names

    @property
    def task(self) -> Task:
        """One class per image ("single"), or any number ("multilabel")."""
        return self.info.task

    @property
    def preprocess(self) -> Preprocess:
        """Resizes an image to the input size of the model."""
        return self.info.preprocess

    @property
    def decisions(self) -> Decisions:
        """Temperature and decision rules: `decisions.decide(logits)` gives probabilities and predictions."""
        return self.info.decisions


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _preprocess(values: Mapping[str, Any]) -> Preprocess:
    try:
        return Preprocess.from_dict(values)
    except (ConfigError, TypeError) as error:
        raise BundleError(f"its preprocessing cannot be used: {error}") from None


def _decisions(values: Mapping[str, Any]) -> Decisions:
    try:
        return Decisions.from_dict(values)
    except (DataError, TypeError) as error:
        raise BundleError(f"its decisions cannot be used: {error}") from None


def _are_names(value: Any) -> bool:
    are_text = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return are_text and 0 < len(value) == len(set(value))


def _are_three(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 3 and all(map(_is_finite, value)))


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_DEFAULTS: dict[str, Any] = {"input": "pixels", "precision": "float32", "training": {}}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "class_names": _are_names,
    "task": lambda value: value in get_args(Task),
    "preprocess": lambda value: isinstance(value, dict),
    "input": lambda value: value in get_args(Input),
    "precision": lambda value: value in get_args(Precision),
    "mean": _are_three,
    "std": _are_three,
    "decisions": lambda value: isinstance(value, dict),
    "training": lambda value: isinstance(value, dict),
    "parity": lambda value: value is None or isinstance(value, dict),
}
