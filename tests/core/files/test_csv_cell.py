"""The guard against formula injection."""

import pytest

from imgrec.core.files.csv_cell import guarded


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_gets_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "cat", "-1.5", "+3", "1=1", "'=1"])
def test_other_text_and_numbers_stay(text):
    assert guarded(text) == text
