"""The table of facts."""

import dataclasses

import numpy as np
import pytest

from imgrec.auditing.scan.facts import DIGEST_BYTES, NUM_HASHES, FactsTable, ImageFacts, facts_table
from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples
from planted import photograph, table_of


def part(count: int) -> Samples:
    images = ArrayImages(np.zeros((count, 4, 4), np.uint8))
    return Samples([f"{row}" for row in range(count)], images, np.arange(count))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_column_has_a_row_for_each_image(count):
    facts = facts_table({"train": part(count)}, [ImageFacts()] * count, class_names=["any"])
    for field in dataclasses.fields(FactsTable):
        if field.name not in ("class_names", "group"):
            assert len(getattr(facts, field.name)) == count, field.name
    assert len(facts) == len(facts.is_usable) == count
    assert facts.hashes.shape == (count, NUM_HASHES) and facts.thumbnail.shape == (count, 32, 32)
    assert facts.pixel_hash.dtype == f"S{DIGEST_BYTES}" and facts.group is None


def test_a_row_with_a_code_cannot_be_used():
    images = [ImageFacts(), ImageFacts(code="damaged", detail="cannot be decoded"), ImageFacts()]
    facts = facts_table({"train": part(1), "test": part(2)}, images, class_names=["any"])
    assert facts.is_usable.tolist() == [True, False, True]
    assert facts.split == ["train", "test", "test"]


def test_a_million_images_take_about_two_gigabytes():
    facts = table_of([photograph(0)])
    arrays = [column for column in vars(facts).values() if isinstance(column, np.ndarray)]
    assert sum(column.nbytes for column in arrays) < 1300  # the rest is for names, digests and words
