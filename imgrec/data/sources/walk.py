"""List the image files in folders: regular files only, by name or by content, each once, nothing left out silently."""

# Strings and os.path throughout: there may be a million files, and a Path for each costs more than the listing.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH118, PTH120, PTH122, PTH123

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from imgrec.core.text import listed
from imgrec.errors import DataError

# Names of `imgrec.data.images.image.FORMATS`; a file of any other name is judged by its first bytes.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm .avif".split()  # noqa: SIM905
)
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def is_hidden(name: str) -> bool:
    """Tell whether an entry is of the system and not of the user: `.DS_Store`, `.ipynb_checkpoints`, `__MACOSX`."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")


def looks_like_image(path: str) -> bool:
    """Tell by its first bytes whether a file is of a format that imgrec reads. False for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(32)
    except OSError:
        return False
    return starts_as_image(head)


def starts_as_image(head: bytes) -> bool:
    """Tell by the first 32 bytes of a file whether it is of a format that imgrec reads."""
    if head.startswith(_STARTS):
        return True
    if head[:2] == b"BM":
        return int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return head[8:12] in (b"avif", b"avis")
    return head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#" and len(head) > 2


@dataclass
class Walk:
    """Image files of several folders.

    inside: the folders (real paths) that symbolic links may lead into.
    exclude: patterns of names or paths to leave out, as of a shell: `*.gif`, `train/ants/*`.
    left_out: paths by the reason why they are no samples.

    Links are followed after everything else and only to what is not listed yet, so that a loop adds nothing.
    """

    inside: Sequence[str]
    exclude: Sequence[str] = ()
    left_out: dict[str, set[str]] = field(default_factory=dict)
    _files: list[list[str]] = field(default_factory=list)
    _links: list[tuple[int, str]] = field(default_factory=list)
    _scanned: set[str] = field(default_factory=set)  # real paths of folders, and of files reached by a link

    def files(self, folders: Sequence[str]) -> list[list[str]]:
        """Return the image files below each folder, sorted by path whatever the order on disk.

        Raises: DataError: a folder that cannot be read.
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

    def notes(self) -> list[str]:
        """Return one line for each reason why files were left out."""
        return [
            f"Left out {len(paths)} {'entry' if len(paths) == 1 else 'entries'} ({reason}): "
            f"{listed(sorted(paths), limit=4)}."
            for reason, paths in sorted(self.left_out.items())
        ]

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what is in a folder. Raises: DataError: it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise DataError(f"{listed([folder])} cannot be read: {error.strerror}. Mend its permissions.") from None

    def passes_over(self, path: str, name: str) -> bool:
        """Tell whether an entry is hidden or excluded, and count it as left out if so."""
        if is_hidden(name):
            self.leave_out(path, "hidden")
        elif any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, f"*/{pattern}") for pattern in self.exclude):
            self.leave_out(path, "data.exclude")
        else:
            return False
        return True

    def leave_out(self, path: str, reason: str) -> None:
        """Count an entry as left out."""
        self.left_out.setdefault(reason, set()).add(path)

    def why_empty(self, folder: str) -> str:
        """Return what was left out below a folder, as " (2 hidden)", or ""."""
        counts = [
            f"{count} {reason}"
            for reason, paths in sorted(self.left_out.items())
            if (count := sum(_is_within(path, folder) for path in paths))
        ]
        return f" ({', '.join(counts)})" if counts else ""

    def _scan(self, place: int, top: str) -> None:
        folders = [(top, os.path.realpath(top))]
        while folders:
            folder, real = folders.pop()
            if real in self._scanned:
                self.leave_out(folder, "listed already")
                continue
            self._scanned.add(real)
            for entry in self.entries(folder):
                if self.passes_over(entry.path, entry.name):
                    continue
                if entry.is_symlink():
                    self._links.append((place, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, os.path.join(real, entry.name)))
                elif entry.is_file(follow_symlinks=False):
                    self._take(place, entry.path)
                else:
                    self.leave_out(entry.path, "not a regular file")

    def _take(self, place: int, path: str) -> None:
        if os.path.splitext(path)[1].lower() in SUFFIXES or looks_like_image(path):
            self._files[place].append(path)
        else:
            self.leave_out(path, "no image that imgrec reads")

    def _follow(self, place: int, link: str) -> None:
        target = os.path.realpath(link)
        if not any(_is_within(target, folder) for folder in self.inside):
            self.leave_out(link, "link that leads out of the data folder")
        elif not os.path.exists(target):
            self.leave_out(link, "broken link")
        elif os.path.isdir(target):
            if any(_is_within(folder, target) for folder in self._scanned):
                self.leave_out(link, "link to what is listed already")
            else:
                self._scan(place, link)
        elif not os.path.isfile(target):
            self.leave_out(link, "not a regular file")
        elif target in self._scanned or os.path.dirname(target) in self._scanned:
            self.leave_out(link, "link to what is listed already")
        else:
            self._scanned.add(target)
            self._take(place, link)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
