"""What a verb is pointed at: a folder, a table, or a configuration's data; read whole and divided by nobody.

`imgrec audit photos/`, `imgrec prepare labels.csv data.label_column=kind` and `imgrec split data=torchvision
data.name=...` all arrive here. The words are those of `train`, so what works there works here.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.data.samples import SPLITS, Samples, Splits, Task
from imgrec.data.sources.records import JSON_SUFFIXES, PARQUET_SUFFIXES, TEXT_SUFFIXES
from imgrec.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.data.sources.assemble import Found

__all__ = ["WORDS_HELP", "Target", "add_columns", "is_word", "open_data", "read_target", "sort_words"]

WORDS_HELP = "key=value words as for train: data=folder data.root=photos data.group_pattern='^(\\d+)_'"
_SOURCES = dict.fromkeys((*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES), "table") | {".npz": "arrays"}
_COLUMNS = ("path_column", "label_column", "split_column", "group_column", "label_delimiter", "group_pattern")


@dataclass(frozen=True)
class Target:
    """Images and labels as the data itself has them.

    where: what messages call the data, such as `data.root=photos`.
    parts: "train", "val", "test" as far as the data names them, or "all" for one heap; at least one image in all.
    class_names: label i means class_names[i]; the label -1 means none. Classes without an image are listed too.
    notes: a line each for what was left out or is odd.
    labelled: whether any image has a label.
    """

    where: str
    parts: Mapping[str, Samples]
    class_names: Sequence[str]
    task: Task
    notes: Sequence[str]
    labelled: bool


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Give a verb the options by which a table's columns, and a folder's groups, are named."""
    for key in _COLUMNS:
        parser.add_argument(f"--{key.replace('_', '-')}", metavar="X", help=f"short for data.{key}=X")


def sort_words(arguments: argparse.Namespace) -> tuple[str | None, list[str]]:
    """Return the target and the words of a command line whose `target` is a list, with what `add_columns` brought.

    Raises: ConfigError: no target, or two.
    """
    from imgrec.core.config.overrides import quote

    paths = [word for word in arguments.target if not is_word(word)]
    words = [word for word in arguments.target if is_word(word)]
    words += [f"data.{key}={quote(getattr(arguments, key))}" for key in _COLUMNS if getattr(arguments, key) is not None]
    if len(paths) > 1 or not arguments.target:
        given = f"not {' and '.join(paths)}" if paths else "none is given"
        raise ConfigError(f"Name one folder or one table, or data=NAME; {given}.")
    return (paths[0] if paths else None), words


def is_word(word: str) -> bool:
    """Tell a `key=value` word from the path of a folder or a table, which may have a "=" in it too."""
    return "=" in word and not Path(word).exists()


def read_target(target: str | None, words: Sequence[str] = ()) -> Target:
    """Read the images of a folder or a table, or of the data that `words` name.

    target: a folder of class folders, or of train, val and test folders, or of images; a table; None = `words` say.
    words: overrides as for train, each `key=value`; with `target`, changes of its keys (`data.label_column=kind`).

    A heap is not divided: `val_fraction` and `test_fraction` count for nothing, unless a split file or folds are named.
    Raises: ConfigError: a word that cannot be. DataError: nothing there, or no image in it.
    """
    data = open_data(target, words, preprocess=None, augment=None)
    where = target or " ".join(word for word in words if word.startswith("data"))
    if data.split_file is not None or data.fold is not None:
        return _from_splits(data.splits, where=where)
    if (found := _list(data)) is not None:
        return _from_found(found)
    options: dict[str, Any] = getattr(data, "options", {})
    options.update(dict.fromkeys(options.keys() & {"val_fraction", "test_fraction"}, 0.0))
    return _from_splits(data.read(None), where=where)


def open_data(target: str | None, words: Sequence[str] = (), **given: Any) -> "ImageDataModule":
    """Return the data that `target` and `words`, as for `read_target`, name: divided as train divides it, not read yet.

    given: arguments of the data module that win over the configuration's. Raises: ConfigError, DataError.
    """
    from imgrec.core.config.build import build
    from imgrec.core.config.compose import compose_config
    from imgrec.core.system.lean_imports import lean_imports

    with compose_config("train", [*_words_for(target), *words]) as config, lean_imports():
        data: ImageDataModule = build(config.data, **given)
    return data


def _words_for(target: str | None) -> list[str]:
    """Return the words that name `target`. Raises: DataError: it is nothing that a source reads."""
    from imgrec.core.config.overrides import quote

    if target is None:
        return []
    path = Path(target)
    if path.is_dir():
        source = "prepared" if (path / "prepared.json").is_file() else "folder"
        return [f"data={source}", f"data.root={quote(target)}"]
    if path.is_file() and path.suffix.lower() in _SOURCES:
        return [f"data={_SOURCES[path.suffix.lower()]}", f"data.path={quote(target)}"]
    if path.exists():
        raise DataError(f"{target} is neither a folder nor a file of {', '.join(_SOURCES)}.")
    siblings = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
    raise DataError(f"{target}: no such folder or table.{did_you_mean(path.name, siblings)}")


def _list(data: "ImageDataModule") -> "Found | None":
    """Return what a folder or a table holds, faults and all; None for a source that has no such faults."""
    from imgrec.data.sources.folder import FolderData, list_folder
    from imgrec.data.sources.table import TableData, list_table

    for kind, list_all in ((FolderData, list_folder), (TableData, list_table)):
        if isinstance(data, kind):
            options = {key: value for key, value in data.options.items() if key in signature(list_all).parameters}
            return list_all(**options)
    return None


def _from_found(found: "Found") -> Target:
    return Target(
        where=found.where,
        parts=_in_order(found.parts),
        class_names=list(found.label_names),
        task=found.task,
        notes=found.notes,
        labelled=_is_labelled(found.parts),
    )


def _from_splits(splits: Splits, *, where: str) -> Target:
    parts = _in_order({name: getattr(splits, name) for name in SPLITS})
    if splits.is_unsplit and parts.keys() == {"train"}:
        parts = {"all": parts["train"]}
    return Target(
        where=where,
        parts=parts,
        class_names=list(splits.class_names),
        task=splits.task,
        notes=splits.notes,
        labelled=_is_labelled(parts),
    )


def _in_order(parts: Mapping[str, Samples | None]) -> dict[str, Samples]:
    """Return the parts that hold images, "train" first."""
    there = {name: samples for name, samples in parts.items() if samples is not None and len(samples)}
    return {name: there[name] for name in ("all", *SPLITS) if name in there}


def _is_labelled(parts: Mapping[str, Samples]) -> bool:
    return any(samples.labels.ndim == 2 or bool((samples.labels >= 0).any()) for samples in parts.values())
