"""Columns made from memory, against pyarrow's own way of making them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from imgrec.core.files import arrow_table as arrow


@pytest.mark.parametrize("values", [[], ["a", "", "Zürich", "\N{CAT FACE}"], ["a", None, "b"] * 5, [None]])
def test_texts_and_bytes_are_as_pyarrow_makes_them(values):
    raw = [None if value is None else value.encode() for value in values]
    found, binary = arrow.texts(values), arrow.contents(raw)
    found.validate(full=True), binary.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))
    assert binary.equals(pa.array(raw, pa.binary()))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_numbers_keep_their_type_and_place(dtype):
    values = np.arange(10, dtype=dtype)[::2]
    found = arrow.numbers(values)
    found.validate(full=True)
    assert found.equals(pa.array(values))


def test_nan_is_null_only_where_asked():
    values = np.array([1.0, np.nan, 3.0] * 4)
    assert arrow.numbers(values, nan_is_null=True).to_pylist() == [1.0, None, 3.0] * 4
    assert arrow.numbers(values).null_count == 0


def test_lists_may_be_empty():
    found = arrow.lists(np.array([2, 0, 1]), arrow.texts(["a", "b", "c"]))
    found.validate(full=True)
    assert found.equals(pa.array([["a", "b"], [], ["c"]], pa.list_(pa.string())))


def test_more_text_than_one_array_holds_comes_in_pieces(monkeypatch):
    monkeypatch.setattr(arrow, "LONGEST", 3)
    assert arrow.texts(["ab", None, "cd"]).to_pylist() == ["ab", None, "cd"]


@pytest.mark.parametrize("values", [[1.5, None, 3.5] * 5, [1.0, 2.0, 3.0] * 5])
def test_numbers_come_back_from_any_part_of_an_array_with_nan_for_null(values):
    array = pa.array(values, pa.float64())
    for part in (array, array[2:9]):
        np.testing.assert_array_equal(arrow.to_numpy(part), part.to_numpy(zero_copy_only=False))


def test_pandas_stays_out():
    code = (
        "import sys; import numpy as np; from imgrec.core.files import arrow_table as arrow; "
        "arrow.table({'a': arrow.texts(['x', None]), 'b': arrow.numbers(np.ones(2)), 'c': arrow.contents([b'', b'y']), "
        "'d': arrow.lists(np.array([1, 1]), arrow.numbers(np.ones(2)))}); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
