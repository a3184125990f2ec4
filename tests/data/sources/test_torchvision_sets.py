"""imgrec.data.sources.torchvision_sets: torchvision's sets by name, with the images and labels torchvision gives."""

import socket

import numpy as np
import pytest
from torchvision import datasets

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import TorchvisionData
from imgrec.data.sources.torchvision_sets import SETS, PilImages, read_torchvision
from imgrec.errors import ConfigError, DataError, ImageError
from small_torchvision import BUILDERS, TREES, build, build_mnist, idx, pixels

OPTIONS = {"EMNIST": {"split": "letters"}}
DIGITS = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four"]
DIGITS += ["5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"]
NAMES = {
    "MNIST": DIGITS,
    "EMNIST": ["N/A", "a", "b"],
    "QMNIST": DIGITS,
    "CIFAR10": ["airplane", "automobile"],
    "STL10": ["airplane", "bird"],
    "Flowers102": ["pink primrose", "hard-leaved pocket orchid"],
    "DTD": ["banded", "dotted"],
    "Food101": ["apple_pie", "waffles"],
    "OxfordIIITPet": ["Abyssinian", "Beagle"],
    "FGVCAircraft": ["707-320", "A 300"],
    "StanfordCars": ["Audi", "BMW"],
    "Country211": ["AD", "AE"],
    "RenderedSST2": ["negative", "positive"],
    "Imagenette": ["tench, Tinca tinca", "English springer, English springer spaniel"],
    "ImageNet": ["crane (0)", "crane (1)", "tench, Tinca tinca"],
    "EuroSAT": ["Forest", "River"],
    "SUN397": ["abbey", "bar/indoor"],
    "Caltech101": ["accordion", "ant"],
    "Caltech256": ["001.ak47", "002.flag"],
    "INaturalist": ["00000_A_B_C_D_E_F_1", "00001_A_B_C_D_E_F_2"],
    "Places365": ["/a/airfield", "/b/bar"],
    "LFWPeople": ["Ann_A", "Bob_B"],
}


def pairs_of(samples, class_names):
    """Return (pixels, class name or attributes) of every sample, sorted: what a split holds, in whatever order."""
    return sorted(
        (samples.images[i].tobytes(), str(class_names[label] if np.ndim(label) == 0 else label.tolist()))
        for i, label in enumerate(samples.labels)
    )


def pairs_of_torchvision(data, names):
    return sorted(
        (np.array(image.convert("RGB")).tobytes(), str(names[int(label)] if np.ndim(label) == 0 else label.tolist()))
        for image, label in (data[i] for i in range(len(data)))
    )


@pytest.mark.parametrize("name", [*BUILDERS, *TREES])
def test_images_and_labels_are_those_of_torchvision(tmp_path, monkeypatch, name):
    build(name, tmp_path, monkeypatch)
    options = OPTIONS.get(name, {})
    splits = read_torchvision(name=name, root=str(tmp_path), options=options, val_fraction=0, test_fraction=0)
    for part, arguments in SETS[name].items():
        without_download = {} if name in ("FER2013", "ImageNet") else {"download": False}
        reference = getattr(datasets, name)(str(tmp_path), **arguments, **options, **without_download)
        samples = splits.train if part == "all" else getattr(splits, part)
        names = NAMES.get(name) or [str(i) for i in range(11)]
        assert pairs_of(samples, splits.class_names) == pairs_of_torchvision(reference, names)


def test_every_set_but_those_that_share_a_class_is_tried_above():
    assert set(SETS) - set(BUILDERS) - set(TREES) == {"FashionMNIST", "KMNIST", "CIFAR100"}


@pytest.mark.parametrize("name", SETS)
def test_each_part_is_called_as_the_class_wants_it(tmp_path, name):
    """In an empty folder nothing is found, and that is all there is to complain about."""
    with pytest.raises(DataError, match=r"is not in data\.root|not found|not present"):
        read_torchvision(name=name, root=str(tmp_path), options=OPTIONS.get(name))
    assert list(tmp_path.iterdir()) == [] or name == "INaturalist"


def test_classes_without_an_image_are_left_out(tmp_path, monkeypatch):
    build("EMNIST", tmp_path, monkeypatch)
    splits = read_torchvision(name="EMNIST", root=str(tmp_path), options={"split": "letters"})
    assert splits.class_names == ["a", "b"]
    assert splits.train.labels.min() == 0


def test_attributes_are_several_labels(tmp_path, monkeypatch):
    build("CelebA", tmp_path, monkeypatch)
    splits = read_torchvision(name="CelebA", root=str(tmp_path))
    assert splits.task == "multilabel"
    assert splits.class_names == ["Bald", "Smiling", "Young"]
    assert splits.train.labels.tolist() == [[0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]]


def test_a_validation_part_of_the_set_is_kept_and_otherwise_taken_from_training(tmp_path, monkeypatch):
    build("DTD", tmp_path, monkeypatch)
    build_mnist(tmp_path, monkeypatch)
    own = read_torchvision(name="DTD", root=str(tmp_path), val_fraction=0.5)
    assert (len(own.train), len(own.val), len(own.test)) == (6, 6, 6)
    taken = read_torchvision(name="MNIST", root=str(tmp_path), val_fraction=0.5)
    assert (len(taken.train), len(taken.val), len(taken.test)) == (10, 10, 4)


def test_files_are_in_order_of_their_names_whatever_the_order_on_disk(tmp_path, monkeypatch):
    build("SUN397", tmp_path, monkeypatch)
    train = read_torchvision(name="SUN397", root=str(tmp_path), val_fraction=0, test_fraction=0).train
    assert list(train.names) == sorted(train.names)
    assert train.names[0].endswith("a/abbey/sun_00.jpg")


def test_images_in_memory_are_named_by_set_part_and_place(tmp_path, monkeypatch):
    build("CIFAR10", tmp_path, monkeypatch)
    assert read_torchvision(name="CIFAR10", root=str(tmp_path)).test.names[3] == "CIFAR10/test/00003"


def test_the_class_list_of_a_checkpoint_goes_by_name(tmp_path, monkeypatch):
    build("CIFAR10", tmp_path, monkeypatch)
    splits = read_torchvision(name="CIFAR10", root=str(tmp_path), class_names=["automobile", "airplane"])
    assert splits.test.labels.tolist() == [1, 0, 1, 0]


def test_a_damaged_image_is_an_image_error_with_its_name(tmp_path, monkeypatch):
    build("Caltech256", tmp_path, monkeypatch)
    file = tmp_path / "caltech256/256_ObjectCategories/001.ak47/001_0001.jpg"
    file.write_bytes(file.read_bytes()[:200])
    data = datasets.Caltech256(str(tmp_path))
    with pytest.raises(ImageError, match=r"Caltech256/all/00000: cannot be decoded .*\[damaged\]"):
        PilImages(data, ["Caltech256/all/00000"])[0]


# The four files of MNIST and its kin


@pytest.mark.parametrize("folder", [".", "FashionMNIST", "FashionMNIST/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_four_published_files_do_in_any_of_three_folders(tmp_path, monkeypatch, folder, ending):
    build_mnist(tmp_path / "data", monkeypatch, folder, ending)
    before = sorted((tmp_path / "data").rglob("*"))
    splits = read_torchvision(name="FashionMNIST", root=str(tmp_path / "data"))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 10, 4)  # two of each class in training
    assert splits.class_names[0] == "T-shirt/top"
    assert sorted((tmp_path / "data").rglob("*")) == before


def test_one_of_the_four_files_missing_means_the_set_is_not_there(tmp_path, monkeypatch):
    build_mnist(tmp_path, monkeypatch, ".", ".gz")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"MNIST is not in data\.root"):
        read_torchvision(name="MNIST", root=str(tmp_path))


def test_fewer_labels_than_images_are_an_error(tmp_path, monkeypatch):
    build_mnist(tmp_path, monkeypatch, ".")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(19) % 10))
    with pytest.raises(DataError, match=r"MNIST: 20 train images, but 19 labels\. Download the files again"):
        read_torchvision(name="MNIST", root=str(tmp_path))


def test_a_label_beyond_the_classes_is_an_error(tmp_path, monkeypatch):
    build_mnist(tmp_path, monkeypatch, ".")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(20)))
    with pytest.raises(DataError, match="labels reach 19 of 10 classes"):
        read_torchvision(name="MNIST", root=str(tmp_path))


def test_fashion_mnist_reads_whole(shared_data):
    splits = read_torchvision(name="FashionMNIST", root=str(shared_data / "fashion-mnist"))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (54_000, 6_000, 10_000)
    assert np.bincount(splits.train.labels).tolist() == [5400] * 10
    assert np.bincount(splits.test.labels).tolist() == [1000] * 10
    assert splits.class_names[9] == "Ankle boot"
    assert splits.test.labels[:5].tolist() == [9, 2, 1, 1, 6]


# Errors


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FashionMnist", r"no data set of torchvision\. Did you mean 'FashionMNIST'"),
        ("CIFAR", r"Did you mean 'CIFAR10'"),
        ("", "data.name='' is no data set of torchvision"),
        ("Unheard", r"no data set of torchvision\. Available: CIFAR10, CIFAR100"),
        ("CocoDetection", r"is not a set for image classification\. Available: CIFAR10"),
        ("ImageFolder", r"data=folder data\.root=FOLDER"),
    ],
)
def test_a_name_that_is_no_classification_set_is_an_error(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        read_torchvision(name=name, root=str(tmp_path))


def test_an_absent_root_is_an_error_with_the_nearest_name(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"data\.root=.*Did you mean 'photos'"):
        read_torchvision(name="CIFAR10", root=str(tmp_path / "photo"))


def test_a_set_that_is_not_there_says_how_to_download_it(tmp_path):
    with pytest.raises(DataError, match=r"CIFAR10 is not in data\.root=.*data\.download=true"):
        read_torchvision(name="CIFAR10", root=str(tmp_path))


@pytest.mark.parametrize("name", ["CIFAR10", "MNIST", "Flowers102", "SVHN"])
def test_a_download_without_a_network_is_an_error_of_one_line(tmp_path, monkeypatch, name):
    def refuse(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(DataError, match=rf"{name} could not be downloaded .*data\.download=false") as caught:
        read_torchvision(name=name, root=str(tmp_path / "new"), download=True)
    assert "\n" not in str(caught.value)


def test_an_option_that_the_set_does_not_take_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"unexpected keyword argument 'size'.*data\.options"):
        read_torchvision(name="CIFAR10", root=str(tmp_path), options={"size": "160px"})


def test_an_option_that_the_set_needs_is_named(tmp_path):
    with pytest.raises(DataError, match=r"'split'.*data\.options"):
        read_torchvision(name="EMNIST", root=str(tmp_path))


@pytest.mark.parametrize("option", ["transform", "target_type", "download", "split"])
def test_an_option_that_imgrec_sets_itself_is_an_error(tmp_path, option):
    with pytest.raises(ConfigError, match=rf"data\.options\.{option}: imgrec sets it itself for SVHN"):
        read_torchvision(name="SVHN", root=str(tmp_path), options={option: "extra"})


def test_a_part_without_labels_is_an_error(tmp_path, monkeypatch):
    files = {"fer": ("fer", None), "icml": ("icml", None), "train": ("train.csv", None), "test": ("test.csv", None)}
    monkeypatch.setattr(datasets.FER2013, "_RESOURCES", files)
    image = " ".join(map(str, pixels(48 * 48)))
    (tmp_path / "fer2013").mkdir()
    (tmp_path / "fer2013/train.csv").write_text(f"emotion,pixels\n0,{image}\n1,{image}\n")
    (tmp_path / "fer2013/test.csv").write_text(f"pixels\n{image}\n")
    with pytest.raises(DataError, match=r"has no labels: FER2013 needs fer2013\.csv"):
        read_torchvision(name="FER2013", root=str(tmp_path))


def test_the_data_module_reads_with_its_seed(tmp_path, monkeypatch):
    build_mnist(tmp_path, monkeypatch)
    data = TorchvisionData(name="MNIST", root=str(tmp_path), val_fraction=0.5, preprocess=Preprocess(size=4), seed=3)
    expected = read_torchvision(name="MNIST", root=str(tmp_path), val_fraction=0.5, seed=3)
    assert list(data.read(None).val.names) == list(expected.val.names)
