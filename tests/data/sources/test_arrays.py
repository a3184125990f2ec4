"""imgrec.data.sources.arrays: npz files in two layouts, and the idx files of MNIST."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets.mnist import read_image_file

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import ArraysData
from imgrec.data.sources.arrays import read_arrays, read_idx
from imgrec.errors import DataError


def sample_images(number=20, *shape):
    """Uint8 images whose every value is their place."""
    shape = shape or (4, 5)
    return np.broadcast_to(np.arange(number, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (number, *shape)).copy()


def save(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "data.npz", **arrays)
    return str(tmp_path / "data.npz")


def read(tmp_path, **arrays):
    return read_arrays(path=save(tmp_path, **arrays), val_fraction=0, test_fraction=0)


def halves(number=20):
    return np.arange(number) % 2


# Layouts


def test_unsplit_arrays_are_split(tmp_path):
    splits = read_arrays(path=save(tmp_path, images=sample_images(100), labels=halves(100)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (80, 10, 10)
    place = int(splits.test.names[0].rpartition("/")[2])
    assert splits.test.names[0] == f"data.npz/{place:05d}"
    assert splits.test.images[0][0, 0, 0] == place
    assert splits.test.labels[0] == place % 2


def test_splits_of_the_file_are_taken(tmp_path):
    parts = {}
    for part, number in (("train", 20), ("val", 6), ("test", 4)):
        parts |= {f"{part}_images": sample_images(number), f"{part}_labels": halves(number)[:, None]}
    splits = read_arrays(path=save(tmp_path, **parts))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (20, 6, 4)
    assert splits.test.names[3] == "data.npz/test/00003"
    assert splits.test.labels.tolist() == [0, 1, 0, 1]


def test_training_without_validation_gives_a_part_of_itself(tmp_path):
    parts = {"train_images": sample_images(20), "train_labels": halves(20)}
    parts |= {"test_images": sample_images(4), "test_labels": halves(4)}
    splits = read_arrays(path=save(tmp_path, **parts), val_fraction=0.1)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (18, 2, 4)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (1, 4, 5), (3, 4, 5)])
def test_gray_and_colour_last_or_first_become_rgb(tmp_path, shape):
    train = read(tmp_path, images=sample_images(20, *shape), labels=halves()).train
    assert train.images[7].shape == (4, 5, 3)
    assert set(train.images[7].flat) == {7}


def test_channels_first_keep_their_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 7), dtype=np.uint8)
    train = read(tmp_path, images=images, labels=halves()).train
    assert np.array_equal(train.images[3], images[3].transpose(1, 2, 0))


def test_groups_stay_on_one_side(tmp_path):
    groups = np.arange(100) // 5
    splits = read_arrays(path=save(tmp_path, images=sample_images(100), labels=halves(100), groups=groups))
    assert splits.train.groups is not None
    assert not set(splits.train.groups) & set(splits.test.groups)


# Labels


def test_numbers_are_classes_by_value(tmp_path):
    splits = read(tmp_path, images=sample_images(24), labels=np.arange(24) % 12)
    assert splits.class_names == [str(i) for i in range(12)]
    assert splits.train.labels.tolist() == (np.arange(24) % 12).tolist()


def test_numbers_with_gaps_make_no_empty_classes(tmp_path):
    splits = read(tmp_path, images=sample_images(), labels=halves() * 7)
    assert splits.class_names == ["0", "7"]
    assert splits.train.labels.max() == 1


def test_names_in_the_file_are_the_class_list(tmp_path):
    splits = read(tmp_path, images=sample_images(), labels=halves(), class_names=np.array(["ill", "well", "dead"]))
    assert splits.class_names == ["ill", "well", "dead"]
    assert "No train images of dead" in splits.notes[0].text


def test_names_of_the_config_come_before_those_of_the_file(tmp_path):
    path = save(tmp_path, images=sample_images(), labels=halves(), class_names=np.array(["ill", "well"]))
    data = ArraysData(path=path, class_names=["a", "b"], preprocess=Preprocess(size=4))
    assert data.read(None).class_names == ["a", "b"]


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_labels_can_be_text(tmp_path, dtype):
    splits = read(tmp_path, images=sample_images(), labels=np.array(["dog", "cat"], dtype=dtype)[halves()])
    assert splits.class_names == ["cat", "dog"]
    assert splits.train.labels.tolist() == [1, 0] * 10


def test_text_labels_go_by_name_to_the_list_of_the_file(tmp_path):
    labels = np.array(["dog", "cat"])[halves()]
    splits = read(tmp_path, images=sample_images(), labels=labels, class_names=np.array(["dog", "cat"]))
    assert splits.train.labels.tolist() == [0, 1] * 10


def test_columns_of_zero_and_one_are_several_labels(tmp_path):
    labels = (np.random.default_rng(0).random((20, 3)) < 0.5).astype(np.int64)
    splits = read(tmp_path, images=sample_images(), labels=labels)
    assert splits.task == "multilabel"
    assert splits.train.labels.dtype == np.uint8
    assert np.array_equal(splits.train.labels, labels)
    assert not splits.notes


def test_rows_with_exactly_one_1_each_are_noted(tmp_path):
    notes = read(tmp_path, images=sample_images(), labels=np.eye(4, dtype=int)[np.arange(20) % 4]).notes
    assert "exactly one 1" in notes[0].text


def test_the_class_list_of_a_checkpoint_goes_by_name(tmp_path):
    path = save(tmp_path, images=sample_images(), labels=halves(), class_names=np.array(["ill", "well"]))
    splits = read_arrays(path=path, class_names=["well", "ill"], val_fraction=0, test_fraction=0)
    assert splits.train.labels.tolist() == [1, 0] * 10


def test_numbers_against_the_names_of_a_checkpoint_say_how_to_name_them(tmp_path):
    path = save(tmp_path, images=sample_images(), labels=halves())
    with pytest.raises(DataError, match=r"the model does not know: 0, 1\. Known: ill, well\. .*data\.class_names=\["):
        read_arrays(path=path, class_names=["ill", "well"])


# Errors


def test_floats_are_refused_with_their_range_and_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"images is float32 with values 0 to 1\. .*images \* 255"):
        read(tmp_path, images=(sample_images() / 19).astype(np.float32), labels=halves())


@pytest.mark.parametrize("images", [sample_images(20, 4, 5, 4), sample_images(20, 7), sample_images(20, 2, 3, 4, 3)])
def test_images_of_another_shape_are_an_error(tmp_path, images):
    with pytest.raises(DataError, match=r"images has shape \(20, .*\(N, H, W, 3\) is needed"):
        read(tmp_path, images=images, labels=halves())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (halves() - 1, r"labels has negative values \(-1\)"),
        (halves() * 1.0, "labels is float64: whole numbers or text are needed"),
        (np.arange(40).reshape(20, 2), r"labels has shape \(20, 2\)"),
        (np.zeros((20, 2, 2), int), r"labels has shape \(20, 2, 2\)"),
        (halves(19), "20 images, but 19 labels"),
        (halves() * 0, r"one class only \(0\)"),
    ],
)
def test_labels_that_cannot_be_used_are_an_error(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, images=sample_images(), labels=labels)


def test_fewer_names_than_labels_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"2 class names \(a, b\), but 3 labels"):
        read(tmp_path, images=sample_images(), labels=np.arange(20) % 3, class_names=np.array(["a", "b"]))


def test_splits_with_labels_of_different_kinds_are_an_error(tmp_path):
    parts = {"train_images": sample_images(), "train_labels": halves()}
    parts |= {"test_images": sample_images(), "test_labels": np.eye(2, dtype=int)[halves()]}
    with pytest.raises(DataError, match=r"differ in kind: train int64 \(20,\), test uint8 \(20, 2\)"):
        read(tmp_path, **parts)


def test_no_images_are_an_error(tmp_path):
    with pytest.raises(DataError, match="images is empty"):
        read(tmp_path, images=sample_images(0), labels=halves(0))


def test_keys_of_another_layout_are_an_error_that_lists_them(tmp_path):
    with pytest.raises(DataError, match=r"lacks images\. It holds x_train, y_train; imgrec reads train_images"):
        read(tmp_path, x_train=sample_images(), y_train=halves())
    with pytest.raises(DataError, match="lacks test_labels"):
        read(tmp_path, train_images=sample_images(), train_labels=halves(), test_images=sample_images())


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match="Python objects, which may run code"):
        read(tmp_path, images=sample_images(), labels=np.array(["cat", 1] * 10, dtype=object))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"hello"])
def test_a_file_that_is_no_npz_is_an_error(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as npz"):
        read_arrays(path=str(tmp_path / "data.npz"))


def test_a_damaged_npz_is_an_error(tmp_path):
    path = Path(save(tmp_path, images=sample_images(2000), labels=halves(2000)))
    whole = path.read_bytes()
    for place in range(60, 300, 20):  # in headers and in values
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.raises(DataError, match="cannot be read as npz"):
            read_arrays(path=str(path))


def test_one_array_in_a_file_is_an_error(tmp_path):
    np.save(tmp_path / "data.npy", sample_images())
    with pytest.raises(DataError, match=r"is one array\. .*np\.savez"):
        read_arrays(path=str(tmp_path / "data.npy"))


def test_an_absent_file_is_an_error_with_the_nearest_name(tmp_path):
    save(tmp_path, images=sample_images(), labels=halves())
    with pytest.raises(DataError, match=r"no such file\. Did you mean 'data.npz'"):
        read_arrays(path=str(tmp_path / "date.npz"))
    with pytest.raises(DataError, match=r"data\.path='' is empty"):
        read_arrays(path="")


# Real data


def test_pneumoniamnist_reads_whole(shared_data):
    path = str(shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz")
    splits = read_arrays(path=path, label_names=["normal", "pneumonia"])
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4708, 524, 624)
    assert splits.class_names == ["normal", "pneumonia"]
    assert np.bincount(splits.train.labels).tolist() == [1214, 3494]
    assert splits.test.images[0].shape == (28, 28, 3)


# idx


def idx(values):
    values = np.asarray(values, np.uint8)
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">i4").tobytes() + values.tobytes()


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_are_read_as_torchvision_reads_them(tmp_path, ending):
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6), dtype=np.uint8)
    (tmp_path / "plain").write_bytes(idx(images))
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(idx(images), mtime=0) if ending else idx(images))
    assert np.array_equal(read_idx(path, num_dims=3), images)
    assert np.array_equal(read_idx(path, num_dims=3), read_image_file(str(tmp_path / "plain")).numpy())


@pytest.mark.parametrize(
    "content",
    [b"", idx([1, 2, 3])[:-1], idx([[1, 2]]), gzip.compress(idx([1, 2, 3]), mtime=0)[:-9]],
    ids=[
        "empty",
        "cut short",
        "wrong shape",
        "cut archive",
    ],  # not the bytes: two test processes must agree on the names
)
def test_a_damaged_idx_file_is_an_error(tmp_path, content):
    path = tmp_path / ("labels.gz" if content[:2] == b"\x1f\x8b" else "labels")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"labels.* is damaged: .* Download it again"):
        read_idx(path, num_dims=1)
