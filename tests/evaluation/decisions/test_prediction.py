"""A prediction as Python sees it."""

import pytest

from imgrec.errors import ConfigError
from imgrec.evaluation.decisions import Prediction

CAT = Prediction("a.png", "cat", 0.7, {"cat": 0.7, "dog": 0.3})


def test_the_most_probable_classes_come_first():
    assert CAT.top(1) == [("cat", 0.7)]
    assert CAT.top(9) == [("cat", 0.7), ("dog", 0.3)]


@pytest.mark.parametrize("k", [-1, 0, "2", None])
def test_a_number_of_classes_that_is_none_is_an_error(k):
    with pytest.raises(ConfigError, match=r"k=.*must be a whole number, 1 or more"):
        CAT.top(k)
