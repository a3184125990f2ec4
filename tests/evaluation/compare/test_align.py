"""The same images, whatever their order; anything else is refused by name."""

import numpy as np
import pytest

from compared import make_multilabel, make_run, make_table, take
from imgrec.errors import DataError
from imgrec.evaluation.compare.align import align


def aligned(first, other):
    found = align([make_run("a", first), make_run("b", other)])
    return found.runs[1].tables[0], found.notes


def test_another_order_is_brought_into_that_of_the_first():
    table = make_table(50)
    found, notes = aligned(table, take(table, np.random.default_rng(0).permutation(50)))
    assert list(found.names) == list(table.names)
    np.testing.assert_array_equal(found.labels, table.labels)
    np.testing.assert_array_equal(found.logits, table.logits)
    assert notes == []


@pytest.mark.parametrize("make", [make_table, make_multilabel])
def test_another_order_of_the_classes_too(make):
    table = make(50)
    order = [2, 0, 1, *range(3, len(table.class_names))]
    labels = np.argsort(order)[table.labels] if table.task == "single" else table.labels[:, order]
    other = make(50, labels=labels, logits=table.logits[:, order], class_names=[table.class_names[k] for k in order])
    found, _ = aligned(table, other)
    np.testing.assert_array_equal(found.labels, table.labels)
    np.testing.assert_array_equal(found.logits, table.logits)
    assert list(found.class_names) == list(table.class_names)


def test_a_folder_that_has_moved_is_followed_and_told():
    table = make_table(5, names=[f"/old/home/test/{k}/x.png" for k in range(5)])
    moved = make_table(5, names=[f"/mnt/test/{k}/x.png" for k in range(5)])
    found, notes = aligned(table, take(moved, [4, 2, 0, 1, 3]))
    assert list(found.names) == list(table.names)
    np.testing.assert_array_equal(found.logits, moved.logits)
    assert notes == ["Images are matched by their paths below /old/home/test/ (a) and /mnt/test/ (b)."]


def test_different_images_are_refused_and_named():
    table = make_table(10)
    with pytest.raises(DataError) as caught:
        aligned(table, take(table, range(2, 10)))
    assert str(caught.value) == (
        "a and b were evaluated on different images: 8 in both; only in a (2): photos/test/0000.png, "
        "photos/test/0001.png. Evaluate both on the same data: evaluate.py checkpoint=... data=... split=..."
    )


def test_of_many_different_images_the_first_five_are_named():
    other = make_table(10, names=[f"photos/val/{i}.png" for i in range(10)])
    with pytest.raises(DataError, match=r"0 in both; only in a \(10\): 0000\.png, .*0004\.png and 5 more; only in b"):
        aligned(make_table(10), other)


def test_other_labels_are_refused_and_named():
    table = make_table(10)
    labels = table.labels.copy()
    labels[[3, 7]] = (labels[[3, 7]] + 1) % 4
    with pytest.raises(DataError, match=r"2 of 10 images have a different label in b and a: photos/test/0003\.png"):
        aligned(table, make_table(10, labels=labels))


def test_other_classes_and_another_task_are_refused():
    table = make_table(10)
    names = ["class 0", "class 1", "class 2", "wasp"]
    with pytest.raises(DataError, match=r"have different classes\. Only a: class 3\. Only b: wasp"):
        aligned(table, make_table(10, class_names=names))
    with pytest.raises(DataError, match="a has the task single, b has multilabel"):
        aligned(make_table(10, num_classes=3), make_multilabel(10))


def test_an_image_that_is_there_twice_cannot_be_matched():
    table = make_table(4, names=["x", "y", "x", "z"])
    with pytest.raises(DataError, match="a contains x twice"):
        aligned(table, take(table, [3, 2, 1, 0]))
    assert len(aligned(table, take(table, [0, 1, 2, 3]))[0]) == 4


def test_of_several_trainings_the_one_that_differs_is_named():
    table = make_table(10)
    runs = [make_run("a", table, take(table, range(9))), make_run("b", table)]
    with pytest.raises(DataError, match=r"a \(a/1/predictions\.parquet\) were evaluated on different images"):
        align(runs)


def test_groups_are_those_of_the_first():
    grouped = make_table(10, groups=[str(i % 3) for i in range(10)])
    found, notes = aligned(grouped, make_table(10))
    assert (found.groups, notes) == (grouped.groups, [])
    _, notes = aligned(make_table(10), grouped)
    assert notes == ["b has groups and a does not: the groups are not used."]
