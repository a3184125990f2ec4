"""Classification data sets of torchvision, by name, from a local folder; downloads only with `download=True`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Images, Samples, Splits, UInt8Array
from imgrec.data.sources.arrays import read_idx
from imgrec.data.sources.assemble import Found, assemble, check_folder, storable
from imgrec.errors import ConfigError, DataError, ImageError, did_you_mean

Arguments = Mapping[str, Any]
_Part = tuple[Samples, Sequence[str]]  # samples, and what their labels mean

_FLAG: Mapping[str, Arguments] = {"train": {"train": True}, "test": {"train": False}}


def _by_split(**parts: str) -> Mapping[str, Arguments]:
    return {part: {"split": split} for part, split in parts.items()}


SETS: Mapping[str, Mapping[str, Arguments]] = {
    **dict.fromkeys(("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "CIFAR10", "CIFAR100", "USPS"), _FLAG),
    **{name: {"all": {}} for name in ("Caltech101", "Caltech256", "EuroSAT", "SEMEION", "SUN397")},
    **dict.fromkeys(
        ("FER2013", "Food101", "GTSRB", "STL10", "StanfordCars", "SVHN"), _by_split(train="train", test="test")
    ),
    **dict.fromkeys(
        ("DTD", "FGVCAircraft", "Flowers102", "PCAM", "RenderedSST2"), _by_split(train="train", val="val", test="test")
    ),
    **dict.fromkeys(("CelebA", "Country211"), _by_split(train="train", val="valid", test="test")),
    **dict.fromkeys(("CLEVRClassification", "ImageNet", "Imagenette"), _by_split(train="train", val="val")),
    "INaturalist": {"train": {"version": "2021_train"}, "val": {"version": "2021_valid"}},
    "LFWPeople": {"all": {"split": "10fold"}},
    "OxfordIIITPet": _by_split(train="trainval", test="test"),
    "Places365": _by_split(train="train-standard", val="val"),
}
"""Arguments for each part of each data set. Parts without labels are excluded."""

# Options that would change images or labels unnoticed, or that have a key of their own.
_OWN_OPTIONS = frozenset(
    {"root", "download", "transform", "transforms", "target_transform", "target_type", "target_types", "loader"}
)
_WITHOUT_DOWNLOAD = frozenset({"FER2013", "ImageNet"})  # they have no such argument
_IDX_PART = {"train": "train", "test": "t10k"}


class TorchvisionData(ImageDataModule):
    """Data module for a data set of torchvision; arguments as in `read_torchvision`."""

    def __init__(
        self,
        *,
        name: str,
        root: str,
        download: bool = False,
        options: Arguments | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **loader: Any,
    ) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {
            "name": name,
            "root": root,
            "download": download,
            "options": dict(options or {}),
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        return read_torchvision(**self.options, seed=self.seed, class_names=class_names)


def read_torchvision(
    *,
    name: str,
    root: str,
    download: bool = False,
    options: Arguments | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Open a data set of `torchvision.datasets` that is in `SETS`.

    Classes without an image in any part are excluded from the class list. A set with its own validation split keeps it.

    Args:
        name: Name of the class in `torchvision.datasets`.
        root: Folder as torchvision expects it. For MNIST, FashionMNIST and KMNIST also a folder with the four published
            files (`train-images-idx3-ubyte.gz`, ...), compressed or not; nothing is written there.
        download: Whether to download what is missing.
        options: Further arguments of the data set, such as {"split": "balanced"} for EMNIST.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.

    Raises:
        DataError: The data set is unknown, not for classification, or not available; or as in `assemble`.
        ConfigError: The data set does not take an option.
    """
    _check_name(name)
    _check_options(name, options := dict(options or {}))
    if not download:
        check_folder("root", root)
    if files := {} if options else _find_idx_files(name, Path(root)):
        opened = {part: _open_idx(name, part, files) for part in SETS[name]}
    else:
        opened = {part: _open(name, part, root, options, download=download) for part in SETS[name]}
    names = list(dict.fromkeys(label for _, own in opened.values() for label in own))
    parts = {part: _with_names(part_opened, names) for part, part_opened in opened.items()}
    several = any(samples.labels.ndim == 2 for samples in parts.values())
    used = {names[int(label)] for samples in parts.values() for label in np.unique(samples.labels)}
    found = Found(
        where=f"data.name={name}",
        parts=parts,
        label_names=names,
        class_names=[label for label in names if several or label in used],
        task="multilabel" if several else "single",
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


# Names and options


def _check_name(name: str) -> None:
    if name in SETS:
        return
    from torchvision import datasets

    if name in ("ImageFolder", "DatasetFolder"):
        raise DataError(f"data.name={name}: for class folders use data=folder data.root=FOLDER.")
    known = ", ".join(sorted(SETS))
    if name in datasets.__all__:
        raise DataError(f"data.name={name} is not a set for image classification. Available: {known}.")
    same = next((other for other in SETS if other.lower() == name.lower()), None)
    near = f" Did you mean '{same}'?" if same else did_you_mean(name, SETS) or f" Available: {known}."
    raise DataError(f"data.name={name or repr(name)} is no data set of torchvision.{near}")


def _check_options(name: str, options: Arguments) -> None:
    parts = {key for arguments in SETS[name].values() for key in arguments}
    if taken := sorted((_OWN_OPTIONS | parts) & options.keys()):
        raise ConfigError(f"data.options.{taken[0]}: imgrec sets it itself for {name}. Remove it.")


# The parts of a data set


def _with_names(part: _Part, names: Sequence[str]) -> Samples:
    """Return the part with labels that index `names`; the parts of a set need not share their own names."""
    samples, own = part
    if samples.labels.ndim == 2:
        return samples
    if not 0 <= samples.labels.min(initial=0) <= samples.labels.max(initial=0) < len(own):
        raise DataError(f"{samples.names[0]} and on: labels reach {samples.labels.max()} of {len(own)} classes.")
    index_of = {name: index for index, name in enumerate(names)}
    return replace(samples, labels=np.array([index_of[name] for name in own], dtype=np.int64)[samples.labels])


def _open(name: str, part: str, root: str, options: Arguments, *, download: bool) -> _Part:
    """Open a part with torchvision; whatever that raises becomes a DataError of one line."""
    from torchvision import datasets

    arguments = {**SETS[name][part], **options}
    if name not in _WITHOUT_DOWNLOAD:
        arguments["download"] = download
    if not download and name.startswith("Caltech") and not (Path(root) / name.lower()).is_dir():  # would make it
        raise _not_there(name, root)
    try:
        data = getattr(datasets, name)(root, **arguments)
    except (RuntimeError, OSError, ValueError, TypeError, ImportError, LookupError, EOFError) as error:
        raise _explain(error, name, root, download=download) from error
    labels = _labels(data)
    names = [f"{name}/{part}/{i:05d}" for i in range(len(labels))]
    images: Images
    if paths := _paths(data):
        order = sorted(range(len(paths)), key=paths.__getitem__)  # SUN397 and INaturalist have the order of the disk
        paths, labels = [paths[i] for i in order], labels[order]
        names, images = [storable(str(path)) for path in paths], FileImages(paths)
    elif hasattr(getattr(data, "data", None), "dtype"):
        array = np.asarray(data.data)
        is_channels_first = array.ndim == 4 and array.shape[1] == 3  # SVHN and STL10
        images = ArrayImages(array.transpose(0, 2, 3, 1) if is_channels_first else array)
    else:
        images = PilImages(data, names)
    return Samples(names, images, labels), _label_names(data, labels)


def _not_there(name: str, root: str) -> DataError:
    return DataError(f"{name} is not in data.root={root}. Set data.root to its folder, or data.download=true.")


def _explain(error: Exception, name: str, root: str, *, download: bool) -> DataError:
    text = " ".join(str(error).split()) or type(error).__name__
    if not download and ("download=True" in text or isinstance(error, FileNotFoundError)):
        return _not_there(name, root)
    if download and (isinstance(error, OSError) or "downloading" in text):
        return DataError(
            f"{name} could not be downloaded to data.root={root} ({text[:200]}). Copy it there by hand, and set "
            f"data.download=false."
        )
    hint = " Further arguments of the set go into data.options." if isinstance(error, TypeError) else ""
    return DataError(f"data.name={name}, data.root={root}: {text[:300]}{hint}")


def _paths(data: Any) -> list[Path]:
    """Return the files of a data set that lists them, so that imgrec decodes them itself."""
    if hasattr(data, "all_categories"):  # INaturalist
        return [Path(data.root, data.all_categories[category], file) for category, file in data.index]
    for attribute in ("_image_files", "_images", "imgs", "_samples", "data"):
        entries = getattr(data, attribute, None)
        if isinstance(entries, list) and entries:
            files = [entry[0] if isinstance(entry, tuple) else entry for entry in entries]
            return [Path(file) for file in files] if isinstance(files[0], str | Path) else []  # FER2013: tensors
    return []


def _labels(data: Any) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return the labels, (N, C) where the set has attributes (CelebA)."""
    if (attributes := getattr(data, "attr", None)) is not None:
        return np.asarray(attributes).astype(np.uint8)
    for attribute in ("targets", "labels", "_labels", "y"):
        if (values := getattr(data, attribute, None)) is not None:
            labels = np.asarray(values, dtype=np.int64)
            return labels if labels.ndim == 1 else labels[:, 0]  # QMNIST: digit, then writer
    for attribute, place in (("_samples", 1), ("index", 0)):
        if (entries := getattr(data, attribute, None)) is not None:
            return _as_indices([entry[place] for entry in entries])
    return _as_indices([data[i][1] for i in range(len(data))])


def _as_indices(labels: Sequence[int | None]) -> NDArray[np.int64]:
    if None in labels:
        raise DataError("This part of the set has no labels: FER2013 needs fer2013.csv or icml_face_data.csv.")
    return np.array(labels, dtype=np.int64)


def _label_names(data: Any, labels: NDArray[np.int64] | NDArray[np.uint8]) -> list[str]:
    """Return the data set's class names, several of one class joined by commas, or numbers where it has none."""
    for attribute in ("classes", "categories", "attr_names", "all_categories", "class_to_idx"):
        if values := getattr(data, attribute, None):
            names = [value if isinstance(value, str) else ", ".join(value) for value in values]
            break
    else:
        names = [str(label) for label in range(int(labels.max()) + 1)]
    if labels.ndim == 2:
        names = names[: labels.shape[1]]
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)
    ]  # ImageNet has two "crane"


@dataclass(frozen=True)
class PilImages:
    """Images of a data set of torchvision that returns PIL images."""

    data: Any
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int, /) -> UInt8Array:
        try:
            return np.array(self.data[index][0].convert("RGB"))
        except (OSError, SyntaxError, ValueError, RuntimeError) as error:
            raise ImageError(self.names[index], "damaged", f"cannot be decoded ({error})") from error


# The idx files of MNIST, FashionMNIST and KMNIST


def _find_idx_files(name: str, root: Path) -> dict[str, Path]:
    """Return the four published files by their name without .gz, or {} where one is missing."""
    if name not in ("MNIST", "FashionMNIST", "KMNIST"):
        return {}
    wanted = [f"{part}-{kind}-ubyte" for part in _IDX_PART.values() for kind in ("images-idx3", "labels-idx1")]
    for folder in (root, root / name / "raw", root / name):
        candidates = [(file, folder / f"{file}{ending}") for file in wanted for ending in (".gz", "")]
        files = {file: path for file, path in candidates if path.is_file()}
        if len(files) == len(wanted):
            return files
    return {}


def _open_idx(name: str, part: str, files: Mapping[str, Path]) -> _Part:
    from torchvision import datasets

    prefix = _IDX_PART[part]
    images = read_idx(files[f"{prefix}-images-idx3-ubyte"], num_dims=3)
    labels = read_idx(files[f"{prefix}-labels-idx1-ubyte"], num_dims=1).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{name}: {len(images)} {part} images, but {len(labels)} labels. Download the files again.")
    names = [f"{name}/{part}/{i:05d}" for i in range(len(labels))]
    return Samples(names, ArrayImages(images), labels), getattr(datasets, name).classes
