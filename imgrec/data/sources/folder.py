"""Class folders: `root/<class>/...`, or `root/train/<class>/...` with val and test beside it."""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.core.text import listed
from imgrec.data.images.collections import FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Note, Samples, Splits
from imgrec.data.sources.assemble import SPLIT_OF, Found, assemble, check_folder, storable
from imgrec.data.sources.walk import Walk, looks_like_image
from imgrec.errors import ConfigError, DataError

Folders = Mapping[str, str]  # name -> path, sorted by name
Files = Mapping[str, Sequence[str]]  # class -> paths

_NO_CLASS = ""  # stands for a class folder where images lie in none
_OTHERS = "For array files, tables and sets of torchvision use data=arrays, data=table or data=torchvision."


class FolderData(ImageDataModule):
    """Data module for images in class folders; arguments as in `read_folder`."""

    def __init__(
        self,
        *,
        root: str | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        group_pattern: str | None = None,
        exclude: Sequence[str] = (),
        allow_empty_class: bool = False,
        **loader: Any,
    ) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {
            "root": root,
            "train": train,
            "val": val,
            "test": test,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
            "group_pattern": group_pattern,
            "exclude": tuple(exclude),
            "allow_empty_class": allow_empty_class,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        return read_folder(**self.options, seed=self.seed, class_names=class_names)


def read_folder(
    *,
    root: str | None = None,
    train: str | None = None,
    val: str | None = None,
    test: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
    group_pattern: str | None = None,
    exclude: Sequence[str] = (),
    allow_empty_class: bool = False,
) -> Splits:
    r"""List the images of class folders; a class is a folder with everything below it.

    The class list is the sorted names of the training folders. Hidden entries, files that are no images and links to
    outside the data folder are excluded, with a note.

    Args:
        root: Folder of class folders, or of folders named train, val and test (or a usual synonym) that hold them.
        train: Folder of class folders for training; overrides that of `root`, as the next two do.
        val: The same for validation.
        test: The same for the test.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.
        group_pattern: Regular expression searched in a file's name; its first group names what must stay in one split
            (`^(\d+)_` for `00042_frame7.png`). With a "/" in it, it is searched in `class/file`.
        exclude: Shell patterns of names or paths to exclude.
        allow_empty_class: Whether a class folder may have no images.

    Raises:
        DataError: A folder is absent, empty, or holds no class folders; or as in `assemble`.
        ConfigError: `group_pattern` is not a regular expression.
    """
    where, parts, walk = _open(root, {"train": train, "val": val, "test": test}, exclude)
    folders = {part: _class_folders(path, walk) for part, path in parts.items()}
    files = _list_files(folders, walk)
    _check_empty(folders, files, walk, allow_empty_class=allow_empty_class)
    training = next((part for part in ("all", "train") if part in files), None)
    every = sorted({name for of_part in files.values() for name in of_part})
    names = every if training is None else list(files[training])
    if class_names is None and (hint := _depth_hint(names, parts)):
        raise DataError(hint)
    found = Found(
        where=where,
        parts={part: _samples(part, files[part], folders[part], every, group_pattern) for part in parts},
        label_names=every,
        class_names=names,
        notes=walk.notes(),
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def list_folder(
    *,
    root: str | None = None,
    train: str | None = None,
    val: str | None = None,
    test: str | None = None,
    group_pattern: str | None = None,
    exclude: Sequence[str] = (),
) -> Found:
    """List images as `read_folder` does, but without splitting them and with few checks; for audits and packing.

    There may be one class, or none; class folders may be empty; images in a split's folder but in no class folder get
    the label -1.

    Raises:
        DataError: A folder is absent, or there is no image at all.
    """
    where, parts, walk = _open(root, {"train": train, "val": val, "test": test}, exclude)
    folders = {part: _class_folders(path, walk, may_be_flat=True) for part, path in parts.items()}
    files = _list_files(folders, walk)
    if not any(paths for of_part in files.values() for paths in of_part.values()):
        raise DataError(f"{where}: no image{''.join(walk.why_empty(path) for path in parts.values())}. {_OTHERS}")
    names = sorted({name for of_part in files.values() for name in of_part} - {_NO_CLASS})
    hint = _depth_hint(names, parts)
    return Found(
        where=where,
        parts={part: _samples(part, files[part], folders[part], names, group_pattern) for part in parts},
        label_names=names,
        notes=[*walk.notes(), *([Note("layout", hint)] if hint else [])],
    )


# Where the splits are


def _open(root: str | None, splits: Mapping[str, str | None], exclude: Sequence[str]) -> tuple[str, Folders, Walk]:
    """Return the name of the data in messages, the folder of each part, and a `Walk` for them."""
    named = {name: path for name, path in splits.items() if path is not None}
    given = named if root is None else {"root": root, **named}
    for key, path in given.items():
        check_folder(key, path)
    _check_distinct(given)
    walk = Walk(inside=[os.path.realpath(path) for path in given.values()], exclude=exclude)
    return ", ".join(f"data.{key}={path}" for key, path in given.items()), _find_parts(root, named, walk), walk


def _check_distinct(given: Folders) -> None:
    """Raise DataError where two keys name one folder."""
    for one, other in combinations(given, 2):
        if os.path.realpath(given[one]) == os.path.realpath(given[other]):
            advice = f"To use all of it as {other} split, add data.root=null" if one == "root" else "Name two folders"
            raise DataError(f"{given[other]} is both data.{one} and data.{other}. {advice}.")


def _find_parts(root: str | None, given: Folders, walk: Walk) -> dict[str, str]:
    """Return the folder of each split, or that of all images as "all"."""
    if root is None:
        if not given:
            raise DataError("No data is named. Set data.root=FOLDER, or data.train=FOLDER, or data.test=FOLDER.")
        return dict(given)
    folders = _subfolders(root, walk)
    splits = _split_folders(root, folders)
    if splits:
        for name, path in folders.items():
            if name.lower() not in SPLIT_OF:
                walk.add_excluded(path, "beside the folders of the splits")
        return {**splits, **given}
    if "train" in given:
        raise DataError(f"data.root={root} holds class folders, and data.train={given['train']} too. Name only one.")
    return {"train": root, **given} if given else {"all": root}


def _split_folders(root: str, folders: Folders) -> dict[str, str]:
    """Return the folders named train, val, test or a synonym, unless that is a class among others."""
    splits: dict[str, str] = {}
    for name, path in folders.items():
        split = SPLIT_OF.get(name.lower())
        if split is not None and splits.setdefault(split, path) != path:
            raise DataError(f"data.root={root} holds {splits[split]} and {path}. Choose one: data.{split}=FOLDER.")
    classes = [name for name in folders if name.lower() not in SPLIT_OF]
    if not classes or any(_has_subfolder(path) for path in splits.values()):
        return splits
    if splits.keys() <= {"train"}:  # "train" without class folders beside "bus" and "car" is a class
        return {}
    raise DataError(
        f"data.root={root} holds class folders ({listed(classes)}), and {listed(list(splits.values()))} without class "
        f"folders inside. Exclude what is no class (data.exclude), or rename what is one."
    )


def _has_subfolder(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


# Classes and files


def _subfolders(path: str, walk: Walk, *, files_are: str | None = None) -> dict[str, str]:
    """Return the visible folders in `path`, sorted by name; its files are excluded as `files_are`."""
    folders = {}
    for entry in walk.entries(path):
        if walk.skips(entry.path, entry.name):
            continue
        if entry.is_dir():
            folders[entry.name] = entry.path
        elif files_are is not None:
            walk.add_excluded(entry.path, files_are)
    return dict(sorted(folders.items()))


def _class_folders(path: str, walk: Walk, *, may_be_flat: bool = False) -> dict[str, str]:
    if may_be_flat and not _has_subfolder(path):
        return {_NO_CLASS: path}
    folders = _subfolders(path, walk, files_are="beside the class folders")
    if folders:
        return folders
    has_images = any(looks_like_image(entry.path) for entry in walk.entries(path) if entry.is_file())
    advice = f" Put the images of each class into a folder of its own, {path}/<class>/." if has_images else ""
    raise DataError(f"{path} holds no class folders{', only images' if has_images else ''}.{advice}")


def _list_files(folders: Mapping[str, Folders], walk: Walk) -> dict[str, Files]:
    files = iter(walk.files([path for of_part in folders.values() for path in of_part.values()]))
    return {part: {name: next(files) for name in of_part} for part, of_part in folders.items()}


def _check_empty(
    folders: Mapping[str, Folders], files: Mapping[str, Files], walk: Walk, *, allow_empty_class: bool
) -> None:
    empty = [folders[part][name] for part in files for name in files[part] if not files[part][name]]
    if not empty:
        return
    if not allow_empty_class or not any(paths for of_part in files.values() for paths in of_part.values()):
        advice = "Fill or remove them" + ("." if allow_empty_class else ", or set data.allow_empty_class=true.")
        described = [f"{path}{walk.why_empty(path)}" for path in empty]
        raise DataError(f"Class folders without images: {listed(described)}. {advice}")
    for path in empty:
        walk.add_excluded(path, "class folder without images")


def _depth_hint(names: Sequence[str], parts: Folders) -> str:
    """Return advice where the class folders are one level deeper, as many archives unpack them; else ""."""
    if len(names) != 1:
        return ""
    part, top = next(iter(parts.items()))
    inner = f"{top.rstrip('/')}/{names[0]}"
    if Path(inner).is_dir() and _has_subfolder(inner):
        key = "root" if part == "all" else part
        return f"{top} holds one class only ({names[0]}). Its folders may be the classes: data.{key}={inner}"
    return ""


def _samples(
    part: str, files: Files, folders: Folders, label_names: Sequence[str], group_pattern: str | None
) -> Samples:
    index_of = {_NO_CLASS: -1} | {name: index for index, name in enumerate(label_names)}
    paths = [path for of_class in files.values() for path in of_class]
    sizes = [len(of_class) for of_class in files.values()]
    keys = [f"{name}{path[len(folders[name]) :]}" for name, of_class in files.items() for path in of_class]
    return Samples(
        names=[storable(path) for path in paths],
        images=FileImages([Path(path) for path in paths]),
        labels=np.repeat(np.array([index_of[name] for name in files], dtype=np.int64), sizes),
        groups=None if group_pattern is None else _groups(part, keys, group_pattern),
    )


def _groups(part: str, keys: Sequence[str], group_pattern: str) -> list[str]:
    """Return the group of each file by its key `class/.../file`; in val and test, a file may be a group of its own."""
    try:
        pattern = re.compile(group_pattern)
    except re.error as error:
        raise ConfigError(f"data.group_pattern={group_pattern!r} is not a regular expression: {error}.") from None
    texts = keys if "/" in group_pattern else [key.rpartition("/")[2] for key in keys]
    found = [match and match[min(pattern.groups, 1)] for match in map(pattern.search, texts)]
    without = [key for key, group in zip(keys, found, strict=True) if group is None]
    if without and part in ("all", "train"):
        raise DataError(f"data.group_pattern={group_pattern!r} finds no group in {listed(without, limit=4)}.")
    return [key if group is None else group for key, group in zip(keys, found, strict=True)]
