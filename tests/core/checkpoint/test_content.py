"""What a checkpoint may hold, and the record that imgrec keeps in it."""

from collections import Counter, OrderedDict, defaultdict
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.core.checkpoint.checkpoint import CheckpointInfo
from imgrec.core.checkpoint.content import claimed_bytes, non_finite_keys, non_plain_keys, stored_bytes
from imgrec.errors import CheckpointError


class Level(IntEnum):
    LOW = 1


def with_attribute() -> torch.Tensor:
    tensor = torch.ones(2)
    tensor.note = Path("x")  # type: ignore[attr-defined]
    return tensor


INFO = CheckpointInfo(
    config={"seed": 7},
    class_names=["cat", "dog"],
    task="single",
    data_fingerprint="ab12",
    seed=7,
    batch_size=32,
    world_size=1,
    version="0.1.0",
)

# Plain data


def test_tensors_and_plain_data_are_in_order() -> None:
    content = {
        "numbers": [1, -2.5, True, None, float("inf"), 2**1999],
        "text": "ü",
        "nested": ({"a": {1, 2}}, OrderedDict(b=[()]), Counter("aab")),
        0: {1.5: "keys", None: "too"},
        "tensors": [torch.ones(2), nn.Parameter(torch.ones(2)), torch.zeros(0), torch.ones(2, dtype=torch.bfloat16)],
        "torch": [torch.device("cpu"), torch.float32, torch.Size([1])],
    }
    assert non_plain_keys(content) == []


@pytest.mark.parametrize(
    ("leaf", "described"),
    [
        (Path("x"), "pathlib.PosixPath"),
        (np.float32(1), "numpy.float32"),
        (np.zeros(2), "numpy.ndarray"),
        (Level.LOW, f"{Level.__module__}.Level"),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (len, "builtin_function_or_method"),
        (int, "type"),
        (b"bytes", "bytes"),
        (defaultdict(int), "collections.defaultdict"),
        (torch.ones(2).to_sparse(), "torch.Tensor"),
        (torch.ones(2, device="meta"), "torch.Tensor"),
        (with_attribute(), r"torch.Tensor with attributes (note)"),
        (2**3000, "an integer of 3001 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_named_with_its_key_and_type(leaf: Any, described: str) -> None:
    assert non_plain_keys({"a": [0, {"b": leaf}]}) == [f"a.1.b: {described}"]


def test_dict_keys_are_looked_at_too() -> None:
    assert non_plain_keys({"a": {Level.LOW: 1}}) == [f"the key a.1: {Level.__module__}.Level"]


def test_found_keys_are_in_the_order_of_the_content() -> None:
    content = {"b": [Path("1"), Path("2")], "a": Path("3")}
    assert [line.split(":")[0] for line in non_plain_keys(content)] == ["b.0", "b.1", "a"]


def test_container_inside_itself_does_not_hang() -> None:
    loop: list[Any] = [Path("x")]
    loop.append(loop)
    assert len(non_plain_keys(loop)) == 1


# Non-finite tensors


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_one_bad_number_is_found_in_any_type(bad: float, dtype: torch.dtype) -> None:
    tensor = torch.ones(1000, dtype=dtype)
    tensor[-1] = bad
    assert non_finite_keys({"state_dict": {"good": torch.ones(3), "bad": tensor}}, ("state_dict",)) == [
        "state_dict.bad"
    ]


def test_infinities_that_cancel_are_found() -> None:
    assert non_finite_keys({"s": {"w": torch.tensor([float("inf"), float("-inf")])}}, ("s",)) == ["s.w"]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.full((10,), 6e4, dtype=torch.float16),
        torch.full((10,), 3e38),
        torch.full((10,), 1e300, dtype=torch.float64),
    ],
)
def test_large_finite_numbers_whose_sum_overflows_are_in_order(tensor: torch.Tensor) -> None:
    assert non_finite_keys({"s": tensor}, ("s",)) == []


def test_only_the_given_keys_are_looked_at() -> None:
    content = {"state_dict": {"w": torch.ones(2)}, "callbacks": {"best": torch.tensor(float("inf"))}}
    assert non_finite_keys(content, ("state_dict", "absent")) == []
    assert non_finite_keys(content, ("callbacks",)) == ["callbacks.best"]


def test_integers_and_empty_tensors_are_in_order() -> None:
    assert non_finite_keys({"s": [torch.ones(2, dtype=torch.int64), torch.zeros(0)]}, ("s",)) == []


# Sizes


def test_stored_bytes_are_about_the_size_of_the_file(tmp_path: Path) -> None:
    content = {str(i): torch.randn(1000) for i in range(500)}
    torch.save(content, tmp_path / "a")
    size = (tmp_path / "a").stat().st_size
    assert size <= stored_bytes(content) <= size + 1_500_000


def test_shared_storage_is_stored_once_and_claimed_twice() -> None:
    tensor = torch.zeros(10**6)
    assert stored_bytes([tensor, tensor[:]]) - stored_bytes([tensor]) == 0
    assert claimed_bytes([tensor, tensor[:]]) == 8 * 10**6


def test_expanded_tensor_claims_all_its_elements() -> None:
    assert claimed_bytes([torch.zeros(1).expand(10**12)]) == 4 * 10**12


# The record


def test_record_is_plain_and_comes_back() -> None:
    record = INFO.to_record()
    assert non_plain_keys(record) == []
    assert record["format"] == 1
    assert CheckpointInfo.from_checkpoint({"imgrec": record}) == INFO


def test_further_keys_are_kept() -> None:
    info = CheckpointInfo.from_checkpoint({"imgrec": {**INFO.to_record(), "hint": [1]}})
    assert info.extra == {"hint": [1]}
    assert CheckpointInfo.from_checkpoint({"imgrec": info.to_record()}) == info


@pytest.mark.parametrize("content", [{}, {"state_dict": {}, "imgrec": None}, {"imgrec": [1]}])
def test_checkpoint_of_another_program_says_how_to_use_it(content: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"x\.ckpt is a checkpoint without imgrec's record.*model\.weights=PATH"):
        CheckpointInfo.from_checkpoint(content, name="x.ckpt")


@pytest.mark.parametrize("number", [2, None, "1"])
def test_other_format_says_to_update(number: Any) -> None:
    with pytest.raises(CheckpointError, match=r"has format .*imgrec 0\.1\.0.*reads format 1\. Update"):
        CheckpointInfo.from_checkpoint({"imgrec": {**INFO.to_record(), "format": number}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", None),
        ("class_names", []),
        ("class_names", ["a", 1]),
        ("class_names", ["a", "a"]),
        ("class_names", "ab"),
        ("task", "many"),
        ("data_fingerprint", 1),
        ("seed", "7"),
        ("batch_size", None),
        ("world_size", 1.0),
        ("version", None),
    ],
)
def test_wrong_field_is_named(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"damaged record: {key}"):
        CheckpointInfo.from_checkpoint({"imgrec": {**INFO.to_record(), key: value}})


def test_absent_fields_are_all_named() -> None:
    with pytest.raises(CheckpointError, match="config, class_names, task"):
        CheckpointInfo.from_checkpoint({"imgrec": {"format": 1}})
