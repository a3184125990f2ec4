"""From the arguments of `imgrec predict` to sources of images."""

# Strings and os.path: there may be a million files.
# ruff: noqa: PTH110, PTH112, PTH113, PTH119, PTH120, PTH122, PTH207

import glob
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from imgrec.core.text import listed, printable
from imgrec.data.images.limits import MAX_FILE_BYTES
from imgrec.data.sources.walk import Walk, is_hidden
from imgrec.deploy.predict.files import FileSource
from imgrec.deploy.predict.frames import VIDEO_SUFFIXES, CameraSource, Pace, VideoSource
from imgrec.deploy.predict.item import Item, Source
from imgrec.deploy.predict.listing import TABLE_SUFFIXES, read_list
from imgrec.deploy.predict.zip_source import ZipSource
from imgrec.errors import ConfigError, DataError, ImageError, did_you_mean

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["Inputs", "read_inputs"]

_CAMERA = "camera:"
_WILD = "*?["
_STANDARD_INPUT = "stdin"  # `path` of its prediction; a cell "-" could be evaluated as a formula


@dataclass(frozen=True)
class Inputs:
    """All images of a command, in order.

    Attributes:
        sources: Of the images.
        notes: What was skipped, a line each.
    """

    sources: Sequence[Source]
    notes: Sequence[str] = ()

    @property
    def expected(self) -> int | None:
        """Number of images, or an estimate of it; None with a camera."""
        counts = [source.expected for source in self.sources]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def has_time(self) -> bool:
        """Whether any image has `frame` and `time_s`."""
        return any(source.has_time for source in self.sources)

    def items(self) -> Iterator[Item]:
        """Yield the images."""
        for source in self.sources:
            yield from source.items()

    def digest(self) -> str | None:
        """Return a hash that changes when the images do; None where they cannot be read a second time."""
        total = hashlib.sha256()
        for source in self.sources:
            texts = source.identity()
            if texts is None:
                return None
            for text in texts:
                total.update(text.encode("utf-8", "surrogateescape") + b"\0\0")
        return total.hexdigest()


class StandardInput:
    """One image, from the bytes of standard input."""

    expected = 1
    has_time = False

    def items(self) -> Iterator[Item]:
        """Yield the one image."""
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        yield Item(_STANDARD_INPUT, partial(_open_bytes, data))

    def identity(self) -> None:
        """Return None: standard input cannot be read again."""
        return


def read_inputs(arguments: Sequence[str], *, lists: Sequence[str], path_column: str, pace: Pace) -> Inputs:
    """Return the images that the arguments and then the lists name.

    Args:
        arguments: Files, folders, patterns, zip archives, videos, `camera:N`, `-`.
        lists: Files for `read_list`.
        path_column: Of lists that are tables.
        pace: Which frames of videos and cameras are taken.

    Raises:
        ConfigError: Standard input twice, or a list given as an image.
        DataError: An argument that names nothing, a list that cannot be used, or no image at all.
    """
    if [*arguments, *lists].count("-") > 1:
        raise ConfigError("Standard input can be read once: give - once, as an image or as a list.")
    notes: list[str] = []
    sources = [source for argument in arguments for source in _sources(argument, pace, notes)]
    sources += [read_list(file, path_column=path_column) for file in lists]
    inputs = Inputs(_joined(sources), notes)
    if inputs.expected == 0:
        skipped = f" {' '.join(notes)}" if notes else ""
        raise DataError(f"No images found in {listed([*arguments, *lists])}.{skipped}")
    return inputs


def _sources(argument: str, pace: Pace, notes: list[str]) -> list[Source]:
    if argument == "-":
        return [StandardInput()]
    if argument.startswith(_CAMERA) and not os.path.exists(argument):
        number = argument.removeprefix(_CAMERA)
        if not (number.isascii() and number.isdecimal()):
            raise ConfigError(f"{printable(argument)}: a camera is camera:NUMBER, the first one is camera:0.")
        return [CameraSource(int(number), pace)]
    if os.path.lexists(argument):
        return [_place(argument, pace, notes)]
    if any(letter in argument for letter in _WILD):
        return [_place(path, pace, notes) for path in _matches(argument)]
    raise DataError(f"{printable(argument) or repr(argument)}: no such file or folder.{_near(argument)}")


def _place(path: str, pace: Pace, notes: list[str]) -> Source:
    """Return the source of a file or folder."""
    if os.path.isdir(path):
        return _folder(path, notes)
    suffix = os.path.splitext(path)[1].lower()
    if suffix in TABLE_SUFFIXES and os.path.isfile(path):
        raise ConfigError(f"{printable(path)} is a table or list. Give it as --list {printable(path)}.")
    if suffix == ".zip" and os.path.isfile(path):
        archive = ZipSource(path)
        notes += [_note(names, f"{reason}, in {printable(path)}") for reason, names in archive.skipped.items()]
        return archive
    if suffix in VIDEO_SUFFIXES and os.path.isfile(path):
        return VideoSource(path, pace)
    return FileSource([path])


def _folder(path: str, notes: list[str]) -> FileSource:
    walk = Walk([os.path.realpath(path)])
    (files,) = walk.files([path])
    notes += [note.text for note in walk.notes()]
    return FileSource(files)


def _note(names: Sequence[str], reason: str) -> str:
    return f"Skipped {len(names)} {'entry' if len(names) == 1 else 'entries'} ({reason}): {listed(names, limit=4)}."


def _matches(pattern: str) -> list[str]:
    """Return the paths that match a pattern, sorted; `**` matches any folders. Raises: DataError: None match."""
    found = sorted(path for path in glob.glob(pattern, recursive=True) if not is_hidden(os.path.basename(path)))
    if "**" in pattern:  # files in a matching folder match themselves
        found = [path for path in found if not os.path.isdir(path)]
    if not found:
        raise DataError(f"{printable(pattern)}: no file matches.")
    return found


def _near(argument: str) -> str:
    argument = argument.rstrip(os.sep)
    folder = os.path.dirname(argument) or "."
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return f" There is no folder {printable(folder)} either."
    return did_you_mean(printable(os.path.basename(argument)), map(printable, names))


def _joined(sources: Sequence[Source]) -> list[Source]:
    """Merge neighbouring files into one source: a shell expands a pattern to thousands of arguments."""
    joined: list[Source] = []
    for are_files, group in groupby(sources, key=lambda source: isinstance(source, FileSource) and not source.names):
        some = list(group)
        joined += [FileSource([path for source in some for path in source.paths])] if are_files else some  # type: ignore[attr-defined]
    return joined


def _open_bytes(data: bytes) -> "LazyImage":
    from imgrec.data.images.lazy_image import image_from_bytes

    if len(data) > MAX_FILE_BYTES:
        raise ImageError(_STANDARD_INPUT, "too_large", f"more than {MAX_FILE_BYTES:,} bytes")
    return image_from_bytes(data, name=_STANDARD_INPUT)
