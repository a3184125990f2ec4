"""imgrec.data.samples and imgrec.data.fingerprint: what a source returns, and whether two data sets are the same."""

import numpy as np
import pytest

from imgrec.data.fingerprint import samples_fingerprint
from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Note, Samples, count_classes


def samples(labels, names="abc"):
    return Samples(list(names), ArrayImages(np.zeros((len(names), 2, 2), np.uint8)), np.array(labels))


@pytest.mark.parametrize(("labels", "counts"), [([2, 0, 2], [1, 0, 2]), ([[1, 0, 1], [0, 0, 1]], [1, 0, 2])])
def test_samples_are_counted_per_class(labels, counts):
    found = count_classes(np.array(labels), 3)
    assert found.tolist() == counts
    assert found.dtype == np.int64


def test_more_than_255_of_several_labels_are_counted():
    assert count_classes(np.ones((300, 2), np.uint8), 2).tolist() == [300, 300]


def test_a_note_is_shown_as_its_text():
    assert f"{Note('excluded', 'Excluded 1 entry.')}" == "Excluded 1 entry."


def test_the_fingerprint_is_that_of_names_labels_splits_and_classes():
    first = samples_fingerprint({"train": samples([0, 1, 1])}, ["cat", "dog"])
    assert samples_fingerprint({"train": samples([0, 1, 1])}, ["cat", "dog"]) == first
    others = [
        samples_fingerprint({"train": samples([0, 1, 0])}, ["cat", "dog"]),
        samples_fingerprint({"train": samples([0, 1, 1], "abd")}, ["cat", "dog"]),
        samples_fingerprint({"test": samples([0, 1, 1])}, ["cat", "dog"]),
        samples_fingerprint({"train": samples([0, 1, 1])}, ["dog", "cat"]),
    ]
    assert len({first, *others}) == 5
