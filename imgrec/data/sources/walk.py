"""The image files below folders: each regular file once, with a reason for every entry that is excluded."""

# Strings and os.path throughout: there may be a million files, and a Path for each costs more than the listing.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH118, PTH120, PTH122, PTH123

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from imgrec.core.text import listed
from imgrec.data.images.formats import FORMAT_OF_SUFFIX, HEAD_BYTES, format_of
from imgrec.data.samples import Note
from imgrec.errors import DataError


def is_hidden(name: str) -> bool:
    """Return whether an entry is hidden or made by the system: `.DS_Store`, `.ipynb_checkpoints`, `__MACOSX`."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")


def looks_like_image(path: str) -> bool:
    """Return whether a file begins like a format that imgrec reads; False for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return format_of(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


@dataclass
class Walk:
    """Lists the image files of several folders.

    Symbolic links are followed last, and only to what is not listed yet, so that a loop adds nothing.

    Args:
        inside: Folders (real paths) that symbolic links may lead into.
        exclude: Shell patterns of names or paths to exclude: `*.gif`, `train/ants/*`.
        excluded: Paths of excluded entries by reason.
    """

    inside: Sequence[str]
    exclude: Sequence[str] = ()
    excluded: dict[str, set[str]] = field(default_factory=dict)
    _files: list[list[str]] = field(default_factory=list)
    _links: list[tuple[int, str]] = field(default_factory=list)
    _scanned: set[str] = field(default_factory=set)  # real paths of folders, and of files reached by a link

    def files(self, folders: Sequence[str]) -> list[list[str]]:
        """Return the image files below each folder, sorted by path.

        Raises:
            DataError: A folder cannot be read.
        """
        self._files = [[] for _ in folders]
        for place, folder in enumerate(folders):
            if os.path.islink(folder):
                self._links.append((place, folder))
            else:
                self._scan(place, folder)
        while self._links:
            links, self._links = sorted(self._links), []
            for place, link in links:
                self._follow(place, link)
        return [sorted(files) for files in self._files]

    def notes(self) -> list[Note]:
        """Return a note for each reason why entries were excluded."""
        notes = []
        for reason, paths in sorted(self.excluded.items()):
            count = "1 entry" if len(paths) == 1 else f"{len(paths)} entries"
            notes.append(Note("excluded", f"Excluded {count} ({reason}): {listed(sorted(paths), limit=4)}."))
        return notes

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what is in a folder.

        Raises:
            DataError: It cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise DataError(f"{listed([folder])} cannot be read: {error.strerror}. Check its permissions.") from None

    def skips(self, path: str, name: str) -> bool:
        """Return whether an entry is hidden or matches `exclude`, and record it if so."""
        if is_hidden(name):
            self.add_excluded(path, "hidden")
        elif any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, f"*/{pattern}") for pattern in self.exclude):
            self.add_excluded(path, "data.exclude")
        else:
            return False
        return True

    def add_excluded(self, path: str, reason: str) -> None:
        """Record an excluded entry with its reason."""
        self.excluded.setdefault(reason, set()).add(path)

    def why_empty(self, folder: str) -> str:
        """Return counts of what was excluded below a folder, as " (2 hidden)", or ""."""
        counts = [
            f"{count} {reason}"
            for reason, paths in sorted(self.excluded.items())
            if (count := sum(_is_within(path, folder) for path in paths))
        ]
        return f" ({', '.join(counts)})" if counts else ""

    def _scan(self, place: int, top: str) -> None:
        folders = [(top, os.path.realpath(top))]
        while folders:
            folder, real = folders.pop()
            if real in self._scanned:
                self.add_excluded(folder, "listed already")
                continue
            self._scanned.add(real)
            for entry in self.entries(folder):
                if self.skips(entry.path, entry.name):
                    continue
                if entry.is_symlink():
                    self._links.append((place, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, os.path.join(real, entry.name)))
                elif entry.is_file(follow_symlinks=False):
                    self._take(place, entry.path)
                else:
                    self.add_excluded(entry.path, "not a regular file")

    def _take(self, place: int, path: str) -> None:
        if os.path.splitext(path)[1].lower() in FORMAT_OF_SUFFIX or looks_like_image(path):
            self._files[place].append(path)
        else:
            self.add_excluded(path, "not a supported image")

    def _follow(self, place: int, link: str) -> None:
        target = os.path.realpath(link)
        if not any(_is_within(target, folder) for folder in self.inside):
            self.add_excluded(link, "link to outside the data folder")
        elif not os.path.exists(target):
            self.add_excluded(link, "broken link")
        elif os.path.isdir(target):
            if any(_is_within(folder, target) for folder in self._scanned):
                self.add_excluded(link, "link to what is listed already")
            else:
                self._scan(place, link)
        elif not os.path.isfile(target):
            self.add_excluded(link, "not a regular file")
        elif target in self._scanned or os.path.dirname(target) in self._scanned:
            self.add_excluded(link, "link to what is listed already")
        else:
            self._scanned.add(target)
            self._take(place, link)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
