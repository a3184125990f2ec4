"""The data that a command line names: a folder, a table, or the data of a configuration; unsplit data stays unsplit.

Used by `imgrec audit photos/`, `imgrec prepare labels.csv data.label_column=kind`, `imgrec split data=torchvision
data.name=...`. Overrides are those of `train`.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.data.samples import SPLITS, Note, Samples, Splits, Task
from imgrec.data.sources.records import JSON_SUFFIXES, PARQUET_SUFFIXES, TEXT_SUFFIXES
from imgrec.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.data.sources.assemble import Found

__all__ = ["OVERRIDES_HELP", "Target", "add_columns", "is_override", "open_data", "read_target", "target_and_overrides"]

OVERRIDES_HELP = "overrides as for train, key=value: data=folder data.root=photos data.group_pattern='^(\\d+)_'"
_SOURCES = dict.fromkeys((*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES), "table") | {".npz": "arrays"}
_COLUMNS = ("path_column", "label_column", "split_column", "group_column", "label_delimiter", "group_pattern")


@dataclass(frozen=True)
class Target:
    """Images and labels, in the splits that the data itself defines.

    Args:
        where: Name of the data in messages, such as `data.root=photos`.
        parts: Samples by split, "train", "val" and "test" as far as the data defines them, or "all" for unsplit data;
            at least one image in all.
        class_names: Label i means class_names[i], -1 none. Classes without an image are listed too.
        task: "single" or "multilabel".
        notes: Remarks on the data.
        labelled: Whether any image has a label.
    """

    where: str
    parts: Mapping[str, Samples]
    class_names: Sequence[str]
    task: Task
    notes: Sequence[Note]
    labelled: bool


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add options for the columns of a table and the groups of a folder."""
    for key in _COLUMNS:
        parser.add_argument(f"--{key.replace('_', '-')}", metavar="X", help=f"short for data.{key}=X")


def target_and_overrides(arguments: argparse.Namespace) -> tuple[str | None, list[str]]:
    """Return the target and the overrides in the list `arguments.target`, with the options of `add_columns`.

    Raises:
        ConfigError: No target, or two.
    """
    from imgrec.core.config.overrides import quote

    paths = [argument for argument in arguments.target if not is_override(argument)]
    overrides = [argument for argument in arguments.target if is_override(argument)]
    overrides += [
        f"data.{key}={quote(getattr(arguments, key))}" for key in _COLUMNS if getattr(arguments, key) is not None
    ]
    if len(paths) > 1 or not arguments.target:
        given = f"not {' and '.join(paths)}" if paths else "none is given"
        raise ConfigError(f"Name one folder or one table, or data=NAME; {given}.")
    return (paths[0] if paths else None), overrides


def is_override(argument: str) -> bool:
    """Return whether an argument is an override, `key=value`, and not a path that contains "="."""
    return "=" in argument and not Path(argument).exists()


def read_target(target: str | None, overrides: Sequence[str] = ()) -> Target:
    """List the images of a folder or a table, or of the data that `overrides` name.

    Unsplit data stays unsplit: `val_fraction` and `test_fraction` have no effect, unless a split file or folds are
    given.

    Args:
        target: A folder of class folders, of train, val and test folders, or of images; a table; None = `overrides`
            name the data.
        overrides: Overrides as for train, `key=value`.

    Raises:
        ConfigError: An override is invalid.
        DataError: There is no such data, or no image in it.
    """
    data = open_data(target, overrides, preprocess=None, augment=None)
    where = target or " ".join(override for override in overrides if override.startswith("data"))
    if data.split_file is not None or data.fold is not None:
        return _from_splits(data.splits, where=where)
    if (found := _list(data)) is not None:
        return _from_found(found)
    options: dict[str, Any] = getattr(data, "options", {})
    options.update(dict.fromkeys(options.keys() & {"val_fraction", "test_fraction"}, 0.0))
    return _from_splits(data.read(None), where=where)


def open_data(target: str | None, overrides: Sequence[str] = (), **given: Any) -> "ImageDataModule":
    """Return the data module that train would use for `target` and `overrides`, not read yet.

    Args:
        target: As in `read_target`.
        overrides: As in `read_target`.
        given: Arguments of the data module that override the configuration.

    Raises:
        ConfigError: An override is invalid.
        DataError: There is no such data.
    """
    from imgrec.core.config.build import build
    from imgrec.core.config.compose import compose_config
    from imgrec.core.system.lean_imports import lean_imports

    with compose_config("train", [*_overrides_for(target), *overrides]) as config, lean_imports():
        data: ImageDataModule = build(config.data, **given)
    return data


def _overrides_for(target: str | None) -> list[str]:
    """Return the overrides that name `target`."""
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
    """Return the content of a folder or a table with its faults; None for other sources."""
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
