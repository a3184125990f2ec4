"""Values of a configuration against the annotations of what they are handed to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from imgrec.core.config.value_kinds import check_kinds
from imgrec.errors import ConfigError

if TYPE_CHECKING:
    from imgrec.nowhere import Nothing


def target(
    *,
    width: int = 1,
    rate: float = 0.1,
    name: str = "",
    flag: bool = False,
    shape: int | tuple[int, int] | None = None,
    parts: Sequence[int] = (),
    stem: Literal["standard", "small"] = "standard",
    freeze: Literal["backbone"] | None = None,
    preprocess: Callable[..., Any] | None = None,
    anything: Any = None,
    path: Path | None = None,
    unannotated=None,
) -> None: ...


def hidden(width: int, other: "Nothing") -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("width", "abc", "model.width=abc, but it must be a whole number."),
        ("width", 1.5, "model.width=1.5, but it must be a whole number."),
        ("width", True, "model.width=true, but it must be a whole number."),
        ("width", None, "model.width=null, but it must be a whole number."),
        ("rate", "high", "model.rate=high, but it must be a number."),
        ("rate", False, "model.rate=false, but it must be a number."),
        ("flag", "maybe", "model.flag=maybe, but it must be true or false."),
        ("flag", 1, "model.flag=1, but it must be true or false."),
        ("name", 2024, """model.name=2024, but it must be text. Quote it: model.name="'2024'\""""),
        ("shape", "big", "model.shape=big, but it must be a whole number or a list or null."),
        ("parts", 5, "model.parts=5, but it must be a list."),
        ("parts", "abc", "model.parts=abc, but it must be a list."),
        ("stem", "smal", "model.stem=smal, but it must be standard or small. Did you mean 'small'?"),
        ("freeze", "head", "model.freeze=head, but it must be backbone or null."),
        ("freeze", "backbon", "model.freeze=backbon, but it must be backbone or null. Did you mean 'backbone'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(name, value, message):
    with pytest.raises(ConfigError) as caught:
        check_kinds(target, {name: value}, key="model")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 3), ("rate", 1), ("rate", 1e-3), ("name", "x"), ("flag", True), ("shape", 3), ("shape", None),
        ("stem", "small"), ("freeze", None), ("anything", "x"), ("path", "folder"), ("preprocess", "x"),
        ("unannotated", "x"), ("not_there", "x"), ("width", [1]), ("width", {"_target_": "x"}),
    ],
)  # fmt: skip
def test_what_may_be_meant_passes(name, value):
    check_kinds(target, {name: value}, key="model")


def test_annotations_that_cannot_be_read_refuse_nothing():
    check_kinds(hidden, {"width": "abc"}, key="model")
    check_kinds(len, {"obj": 1}, key="model")
