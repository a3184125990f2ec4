"""The one writer of JSON files: whatever is written, every reader takes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from imgrec.core.files.json_file import plain, to_json, write_json


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_what_is_undefined_is_null_at_any_depth():
    value = {"a": float("nan"), "b": [1.5, {"c": (float("inf"), -float("inf"))}], "d": np.float64("nan")}
    content = json.loads(to_json(value), parse_constant=no_constant)
    assert content == {"a": None, "b": [1.5, {"c": [None, None]}], "d": None}


def test_numbers_and_arrays_of_numpy_and_torch_are_plain_numbers():
    value = {"n": np.int64(3), "yes": np.bool_(True), "x": np.array([[1.0, np.nan]]), "t": torch.tensor([2, 3])}
    assert plain(value) == {"n": 3, "yes": True, "x": [[1.0, None]], "t": [2, 3]}
    assert type(plain(value)["yes"]) is bool


def test_names_are_written_as_they_are_and_stray_bytes_as_escapes(tmp_path):
    write_json(tmp_path / "a.json", {"names": ["größe", "\udcff.png"]})
    data = (tmp_path / "a.json").read_bytes()
    assert "größe".encode() in data
    assert b"\\udcff.png" in data
    assert json.loads(data)["names"] == ["größe", "\udcff.png"]


def test_what_json_has_no_form_for_is_an_error_unless_it_is_made_plain():
    with pytest.raises(TypeError, match="Path is not JSON"):
        to_json({"folder": Path("a")})
    assert json.loads(to_json({"folder": Path("a")}, default=str)) == {"folder": "a"}
