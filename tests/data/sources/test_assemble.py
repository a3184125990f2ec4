"""imgrec.data.sources.assemble: one class list, missing splits, notes."""

import numpy as np
import pytest

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Note, Samples
from imgrec.data.sources.assemble import Found, assemble, check_folder, sort_names, storable
from imgrec.errors import DataError


def samples(labels, groups=None):
    """Images whose every pixel is their place, under a name that says it."""
    labels = np.asarray(labels)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((2, 2), np.uint8)
    return Samples([f"p{i}" for i in range(len(labels))], ArrayImages(images), labels, groups)


def put_together(parts, label_names=("cat", "dog", "owl"), class_names=None, val=0.1, test=0.1, **found):
    made = Found(where="data.root=photos", parts=parts, label_names=list(label_names), **found)
    return assemble(made, class_names=class_names, val_fraction=val, test_fraction=test, seed=0)


def sizes(splits):
    return tuple(None if part is None else len(part) for part in (splits.train, splits.val, splits.test))


# Splits


@pytest.mark.parametrize(
    ("val", "test", "expected"),
    [
        (0.1, 0.2, (70, 10, 20)),
        (0.0, 0.2, (80, None, 20)),
        (0.1, 0.0, (90, 10, None)),
        (0.0, 1.0, (None, None, 100)),
        (0.1, 0.9, (None, 10, 90)),
        (0.0, 0.0, (100, None, None)),
    ],
)
def test_unsplit_data_is_split_by_the_fractions(val, test, expected):
    assert sizes(put_together({"all": samples([0, 1] * 50)}, val=val, test=test)) == expected


def test_images_labels_and_names_stay_together():
    splits = put_together({"all": samples(np.arange(200) % 3)})
    for part in (splits.train, splits.val, splits.test):
        places = [int(part.images[i][0, 0, 0]) for i in range(len(part))]
        assert [f"p{place}" for place in places] == list(part.names)
        assert [place % 3 for place in places] == part.labels.tolist()


def test_training_without_validation_gives_a_part_of_itself():
    splits = put_together({"train": samples([0, 1] * 50), "test": samples([0, 1] * 5)}, val=0.2)
    assert sizes(splits) == (80, 20, 10)


def test_a_validation_part_of_its_own_is_kept_whole():
    parts = {"train": samples([0, 1] * 50), "val": samples([0, 1] * 5)}
    assert sizes(put_together(parts, val=0.3)) == (100, 10, None)


def test_a_val_fraction_of_zero_leaves_training_whole():
    assert sizes(put_together({"train": samples([0, 1] * 50)}, val=0)) == (100, None, None)


def test_a_test_part_alone_is_only_that():
    assert sizes(put_together({"test": samples([0, 1] * 5)})) == (None, None, 10)


def test_groups_stay_together_when_data_is_split():
    groups = [f"patient {i // 5}" for i in range(100)]
    splits = put_together({"all": samples([0, 1] * 50, groups)})
    assert not set(splits.train.groups) & set(splits.test.groups)


@pytest.mark.parametrize(("val", "test"), [(0.6, 0.6), (-0.1, 0.1)])
def test_fractions_that_leave_less_than_nothing_are_an_error(val, test):
    with pytest.raises(DataError, match=r"data.val_fraction=.*data.test_fraction=.*at most 1"):
        put_together({"all": samples([0, 1] * 50)}, val=val, test=test)


# The class list


def test_the_class_list_is_made_from_the_training_part():
    splits = put_together({"train": samples([0, 2] * 50), "val": samples([0, 2])})
    assert splits.class_names == ["cat", "owl"]
    assert splits.val.labels.tolist() == [0, 1]


def test_a_class_missing_in_validation_shifts_no_index():
    splits = put_together({"train": samples([0, 1, 2] * 9), "val": samples([1, 2])})
    assert splits.val.labels.tolist() == [1, 2]
    assert list(splits.notes) == [Note("missing_class", "No val images of cat: their metrics there are undefined.")]


def test_a_validation_class_that_training_lacks_is_an_error_naming_it():
    with pytest.raises(
        DataError, match=r"photos: val labels that the training data does not know: owl\. Known: cat, dog"
    ):
        put_together({"train": samples([0, 1] * 9), "val": samples([0, 2])})


def test_labels_go_by_name_to_the_class_list_of_a_checkpoint():
    splits = put_together({"test": samples([0, 1, 2])}, class_names=["owl", "fox", "dog", "cat"])
    assert splits.class_names == ["owl", "fox", "dog", "cat"]
    assert splits.test.labels.tolist() == [3, 2, 0]


def test_a_label_that_the_checkpoint_does_not_know_is_an_error_with_the_nearest_name():
    with pytest.raises(DataError, match=r"test labels that the model does not know: dog\. Did you mean 'dogs'\?"):
        put_together({"test": samples([0, 1])}, class_names=["cat", "dogs"])


def test_columns_of_several_labels_go_by_name_too():
    matrix = np.array([[1, 0, 0], [0, 0, 1]], np.uint8)
    splits = put_together({"test": samples(matrix)}, class_names=["owl", "fox", "cat"], task="multilabel")
    assert splits.test.labels.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert splits.task == "multilabel"


def test_a_used_column_that_the_checkpoint_does_not_know_is_an_error():
    matrix = np.array([[1, 1, 0]], np.uint8)
    with pytest.raises(DataError, match="does not know: dog"):
        put_together({"test": samples(matrix)}, class_names=["owl", "cat"], task="multilabel")


def test_a_class_list_laid_down_by_the_source_keeps_its_order_and_its_unused_classes():
    names = ["dog", "cat", "owl"]
    found = Found(where="x", parts={"train": samples([0, 1])}, label_names=["cat", "dog"], class_names=names)
    splits = assemble(found, class_names=None, val_fraction=0, test_fraction=0, seed=0)
    assert splits.class_names == names
    assert splits.train.labels.tolist() == [1, 0]
    assert list(splits.notes) == [Note("missing_class", "No train images of owl: the model cannot learn them.")]


def test_one_class_only_is_an_error():
    with pytest.raises(DataError, match=r"photos: one class only \(dog\)"):
        put_together({"train": samples([1] * 9)})


def test_no_labels_at_all_are_an_error():
    with pytest.raises(DataError, match="no labels"):
        put_together({"all": samples(np.zeros((9, 3), np.uint8))}, task="multilabel")


def test_one_class_of_several_labels_is_a_task():
    matrix = np.array([[1], [0]] * 10, np.uint8)
    assert put_together({"all": samples(matrix)}, label_names=["cat"], task="multilabel").class_names == ["cat"]


# Notes and names


def test_a_group_on_both_sides_is_noted():
    parts = {"train": samples([0, 1], ["a", "b"]), "test": samples([0, 1], ["b", "c"])}
    assert list(put_together(parts, val=0).notes) == [
        Note("leaking_groups", "Groups in both train and test: b: metrics on test may be too good.")
    ]


def test_whole_numbers_sort_by_value_and_other_names_as_text():
    assert sort_names(["10", "9", "0", "9"]) == ["0", "9", "10"]
    assert sort_names(["10", "9", "cat", "Dog"]) == ["10", "9", "Dog", "cat"]


def test_a_name_that_is_not_utf8_can_be_stored():
    assert storable("caf\udce9.png") == r"caf\udce9.png"
    assert storable("café\n.png") == "café\n.png"


def test_an_absent_folder_is_an_error_with_the_nearest_name(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"data.root=.*photo.*: no folder 'photo' in .*Did you mean 'photos'\?"):
        check_folder("root", str(tmp_path / "photo"))


def test_an_absent_folder_deep_down_names_where_the_path_breaks(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"no folder 'photo' in .*Did you mean 'photos'\?"):
        check_folder("root", str(tmp_path / "photo" / "train" / "cat"))


def test_a_file_where_a_folder_is_needed_is_an_error(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(DataError, match=r"is a file.*data=table"):
        check_folder("root", str(tmp_path / "labels.csv"))
