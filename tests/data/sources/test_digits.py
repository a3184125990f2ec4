"""imgrec.data.sources.digits: scikit-learn's digits, equal to its own reader's, without the cost of its import."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import DigitsData, digits
from imgrec.data.sources.digits import read_digits


@pytest.fixture(scope="module")
def whole():
    return read_digits(val_fraction=0, test_fraction=0).train


def test_images_are_scikit_learns_digits_scaled_to_bytes(whole):
    reference = load_digits().images  # float, 0 to 16
    for i in range(len(reference)):
        gray = whole.images[i]
        assert np.array_equal(gray, np.repeat(gray[:, :, :1], 3, axis=2))
        assert np.abs(gray[:, :, 0] - reference[i] * 255 / 16).max() <= 0.5


def test_sixteen_is_white_and_zero_is_black(whole):
    reference = load_digits().images
    i = int(np.argmax(reference.max(axis=(1, 2))))
    assert set(whole.images[i][reference[i] == 16].flat) == {255}
    assert set(whole.images[i][reference[i] == 0].flat) == {0}


def test_labels_are_scikit_learns(whole):
    assert np.array_equal(whole.labels, load_digits().target)


def test_classes_and_names_say_what_they_are(whole):
    assert read_digits().class_names == [str(digit) for digit in range(10)]
    assert (whole.names[0], whole.names[-1]) == ("digits/0000", "digits/1796")


def test_seven_tenths_train_one_validates_and_two_test():
    splits = read_digits(seed=4)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (1258, 180, 359)
    for part, share in ((splits.train, 0.7), (splits.val, 0.1), (splits.test, 0.2)):
        assert np.abs(np.bincount(part.labels) - share * np.bincount(load_digits().target)).max() < 1


def test_each_seed_has_its_own_split():
    assert list(read_digits(seed=1).test.names) == list(read_digits(seed=1).test.names)
    assert list(read_digits(seed=1).test.names) != list(read_digits(seed=2).test.names)


def test_the_data_module_passes_its_fractions_and_its_seed_on():
    data = DigitsData(val_fraction=0.2, test_fraction=0.3, preprocess=Preprocess(size=8), seed=5)
    expected = read_digits(val_fraction=0.2, test_fraction=0.3, seed=5)
    assert list(data.read(None).val.names) == list(expected.val.names)
    assert data.read(["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]).train.labels[0] == 9 - expected.train.labels[0]


def test_a_scikit_learn_that_keeps_the_file_elsewhere_is_read_by_its_own_reader(monkeypatch, whole):
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    other = read_digits(val_fraction=0, test_fraction=0).train
    assert np.array_equal(other.labels, whole.labels)
    assert np.array_equal(other.images[1796], whole.images[1796])


def test_reading_needs_no_import_of_scikit_learns_data_sets(monkeypatch, whole):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # importing it now fails
    assert len(read_digits(val_fraction=0, test_fraction=0).train) == len(whole)
