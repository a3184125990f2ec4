"""Images in array files: npz in the layout of MedMNIST or with `images` and `labels`, and idx files as of MNIST."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import listed
from imgrec.data.images.collections import ArrayImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Note, Samples, Splits, UInt8Array
from imgrec.data.sources.assemble import Found, assemble, sort_names
from imgrec.errors import DataError, did_you_mean

Array = NDArray[Any]


class ArraysData(ImageDataModule):
    """Data module for images in an npz file; arguments as in `read_arrays`, with its `label_names` as `class_names`."""

    def __init__(
        self,
        *,
        path: str,
        class_names: Sequence[str] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **loader: Any,
    ) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {
            "path": path,
            "label_names": None if class_names is None else list(class_names),
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        return read_arrays(**self.options, seed=self.seed, class_names=class_names)


def read_arrays(
    *,
    path: str,
    label_names: Sequence[str] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Read `train_images`, `train_labels`, `val_...`, `test_...`, or `images` and `labels`, from an npz file.

    Images are uint8 (N, H, W), (N, H, W, 1), (N, H, W, 3) or channels first (N, 1, H, W), (N, 3, H, W). Labels are
    integers or text (N,) or (N, 1), or (N, C) of 0 and 1 for several labels per image. An array `groups` (or
    `train_groups`, ...) names what must stay in one split.

    Args:
        path: The npz file.
        label_names: Names of labels 0, 1, ...; None = the file's array `class_names`, else the numbers.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.

    Raises:
        DataError: The file or an array cannot be used; or as in `assemble`.
    """
    if not path:
        raise DataError(f"data.path={path!r} is empty. Name the npz file.")
    file = Path(path)
    content = _load(file)
    prefixes = _prefixes(file, content)
    if label_names is None and "class_names" in content:
        label_names = _as_text(content["class_names"].reshape(-1), f"{file}: class_names")
    labels = {part: _labels(content[f"{prefix}labels"], f"{file}: {prefix}labels") for part, prefix in prefixes.items()}
    names, indices = _name_labels(file, labels, label_names)
    parts = {}
    for part, prefix in prefixes.items():
        images = _images(content[f"{prefix}images"], f"{file}: {prefix}images")
        groups = content.get(f"{prefix}groups")
        _check_lengths(file, prefix, images, indices[part], groups)
        parts[part] = Samples(
            names=[f"{file.name}/{'' if part == 'all' else part + '/'}{i:05d}" for i in range(len(images))],
            images=ArrayImages(images),
            labels=indices[part],
            groups=None if groups is None else [str(group) for group in groups.reshape(-1)],
        )
    several = next(iter(indices.values())).ndim == 2
    found = Found(
        where=f"data.path={path}",
        parts=parts,
        label_names=names,
        class_names=label_names,
        task="multilabel" if several else "single",
        notes=_notes(indices),
        hint="" if label_names else "Name the labels 0, 1, ... in order: data.class_names=[...].",
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


# The file


def _load(file: Path) -> Mapping[str, Array]:
    if not file.is_file():
        siblings = sorted(entry.name for entry in file.parent.iterdir()) if file.parent.is_dir() else []
        raise DataError(f"data.path={file}: no such file.{did_you_mean(file.name, siblings)}")
    try:
        with file.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            arrays = None if isinstance(content, np.ndarray) else {key: content[key] for key in content}
    # Damaged files made NumPy raise BadZipFile, zlib.error, ValueError, KeyError, and TokenError from its headers.
    except Exception as error:
        objects = "it holds Python objects, which may run code; save plain numbers and text"
        reason = objects if "allow_pickle" in str(error) else " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"data.path={file} cannot be read as npz: {reason}.") from None
    if arrays is None:
        raise DataError(f"data.path={file} is one array. Save images and labels together: np.savez(...).")
    return arrays


def _prefixes(file: Path, content: Mapping[str, Array]) -> dict[str, str]:
    """Return the prefix of the keys of each part."""
    if "images" in content and "labels" in content:
        return {"all": ""}
    found = {part: f"{part}_" for part in ("train", "val", "test") if f"{part}_images" in content}
    missing = [f"{prefix}labels" for prefix in found.values() if f"{prefix}labels" not in content]
    if not found or missing:
        wanted = "train_images, train_labels, test_images, ..., or images and labels"
        raise DataError(
            f"data.path={file} lacks {listed(missing) if missing else 'images'}. It holds {listed(sorted(content))}; "
            f"imgrec reads {wanted}."
        )
    return found


def _check_lengths(file: Path, prefix: str, images: Array, labels: Array, groups: Array | None) -> None:
    if len(images) == 0:
        raise DataError(f"{file}: {prefix}images is empty.")
    for key, array in (("labels", labels), ("groups", groups)):
        if array is not None and len(array) != len(images):
            raise DataError(f"{file}: {len(images)} {prefix}images, but {len(array)} {prefix}{key}.")


# Images


def _images(array: Array, where: str) -> UInt8Array:
    if array.dtype != np.uint8:
        values = (
            f" with values {array.min():.4g} to {array.max():.4g}" if array.dtype.kind in "fiu" and array.size else ""
        )
        raise DataError(
            f"{where} is {array.dtype}{values}. Save uint8 with values 0-255, for floats of 0 to 1: "
            f"(images * 255).round().astype('uint8')."
        )
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3)):
        return array
    raise DataError(f"{where} has shape {array.shape}: (N, H, W), (N, H, W, 1) or (N, H, W, 3) is needed.")


# Labels


def _labels(array: Array, where: str) -> Array:
    """Return labels as int64 (N,), text (N,), or uint8 (N, C)."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind in "SU":
        return np.array(_as_text(array, where))
    if array.dtype.kind not in "biu":
        raise DataError(f"{where} is {array.dtype}: whole numbers or text are needed.")
    if array.ndim == 1:
        if array.size and array.min() < 0:
            raise DataError(f"{where} has negative values ({array.min()}). Remove images without a label.")
        return array.astype(np.int64)
    if array.ndim != 2 or array.max(initial=0) > 1 or array.min(initial=0) < 0:
        raise DataError(f"{where} has shape {array.shape}: (N,), or (N, C) of 0 and 1 for several labels, is needed.")
    return array.astype(np.uint8)


def _as_text(array: Array, where: str) -> list[str]:
    if array.dtype.kind not in "SU":
        raise DataError(f"{where} is {array.dtype}: text is needed.")
    return [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value) for value in array]


def _name_labels(
    file: Path, labels: Mapping[str, Array], label_names: Sequence[str] | None
) -> tuple[Sequence[str], dict[str, NDArray[np.int64] | NDArray[np.uint8]]]:
    """Return the names that indices mean, and the labels of each part as such indices or as (N, C)."""
    kinds = {(array.dtype.kind in "SU", array.ndim, array.shape[1:]) for array in labels.values()}
    if len(kinds) > 1:
        shapes = ", ".join(f"{part} {array.dtype} {array.shape}" for part, array in labels.items())
        raise DataError(f"{file}: the labels of the splits differ in kind: {shapes}.")
    ((is_text, num_dims, columns),) = kinds
    if num_dims == 2 or (label_names is not None and not is_text):
        num_labels = columns[0] if columns else 1 + max(int(array.max(initial=0)) for array in labels.values())
        names = label_names or [str(label) for label in range(num_labels)]
        if len(names) < num_labels or (columns and len(names) != num_labels):
            raise DataError(f"{file}: {len(names)} class names ({listed(names)}), but {num_labels} labels.")
        return names, dict(labels)
    names = sort_names(str(value) for array in labels.values() for value in np.unique(array))
    index_of = {name: index for index, name in enumerate(names)}
    return names, {part: _index(array, index_of) for part, array in labels.items()}


def _index(values: Array, index_of: Mapping[str, int]) -> NDArray[np.int64]:
    distinct, inverse = np.unique(values, return_inverse=True)
    return np.array([index_of[str(value)] for value in distinct], dtype=np.int64)[inverse]


def _notes(labels: Mapping[str, Array]) -> list[Note]:
    if all(array.ndim == 2 and np.all(array.sum(axis=1) == 1) for array in labels.values()):
        shape = next(iter(labels.values())).shape
        text = f"Labels {shape} are read as several per image, but each row has exactly one 1. Save (N,) for one."
        return [Note("layout", text)]
    return []


# idx


def read_idx(path: Path, *, num_dims: int) -> UInt8Array:
    """Read an idx file of bytes, compressed with gzip or not.

    The format (Y. LeCun, MNIST): 0, 0, 8 for bytes, the number of dimensions, each size as a big-endian int32, values.

    Raises:
        DataError: The file is not of this format, or truncated.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:4] != bytes((0, 0, 8, num_dims)):
            raise ValueError(f"it does not begin as an idx file of {num_dims} dimensions")
        shape = np.frombuffer(content, dtype=">i4", count=num_dims, offset=4)
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * num_dims).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}. Download it again.") from None
