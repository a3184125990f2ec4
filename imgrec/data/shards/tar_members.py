"""The members of an untrusted tar file, from one pass over its headers; nothing is unpacked.

Reads ustar and the GNU and pax extensions for long names (POSIX.1-2001, "pax Interchange Format"). What could make two
readers see different files in the same bytes is refused: sparse members, sizes given twice, negative numbers, anything
after the end mark. `tarfile` accepts all of these, and takes twice as long.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from imgrec.errors import DataError

__all__ = ["Member", "TarReader"]

BLOCK_BYTES = 512
MAX_MEMBERS = 1_000_000  # of one shard; usual shards have some thousands
MAX_NAME_BYTES = 4096
_MAX_PAX_BYTES = 1 << 16

_FILES = (b"0", b"\0", b"7")
_IGNORED = (b"5", b"K")  # folders, and long names of links
_REFUSED = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"6": "pipe"}
_WITHOUT_CONTENT = (b"5", *_REFUSED)


@dataclass(frozen=True)
class Member:
    """A regular file in a tar file: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


@dataclass
class TarReader:
    """Lists the regular files of a tar file.

    Args:
        file: The file, open for reading, at any position.
        name: Name of the file in messages.
        excluded: Number of excluded members by reason: links, devices, names that lead outside.
    """

    file: BinaryIO
    name: str
    excluded: Counter[str] = field(default_factory=Counter)
    _size: int = 0
    _place: int = 0

    def members(self) -> Iterator[Member]:
        """Yield the members in their order.

        Raises:
            DataError: The file is truncated, damaged, or no uncompressed tar file.
        """
        self._size = self.file.seek(0, 2)
        self._place, num_members, long_name = 0, 0, None
        while (header := self._header()) is not None:
            num_members += 1
            if num_members > MAX_MEMBERS:
                raise DataError(f"{self.name} has more than {MAX_MEMBERS:,} members.")
            kind, offset = header[156:157], self._place
            # A member without content may still state a size: a hard link that of its target.
            size = 0 if kind in _WITHOUT_CONTENT else self._number(header[124:136])
            self._skip(size, header)
            if kind in (b"x", b"g", b"L"):
                long_name = self._long_name(kind, offset, size) or long_name
                continue
            name, long_name = long_name or _ustar_name(header), None
            if self._is_sample(kind, name):
                yield Member(name.decode("utf-8", "backslashreplace"), offset, size)
        self._check_end()

    def _header(self) -> bytes | None:
        """Return the next header, None at the end mark."""
        header = self._read(self._place, BLOCK_BYTES)
        if not header and self._place:
            raise DataError(f"{self.name} has no end mark: the file is truncated. Copy or download it again.")
        if len(header) == BLOCK_BYTES and not any(header):
            return None
        total = sum(header[:148]) + 8 * 32 + sum(header[156:])
        if len(header) < BLOCK_BYTES or total != _octal(header[148:156]):
            raise DataError(f"{self.name} {self._what_it_is(header)}.")
        self._place += BLOCK_BYTES
        return header

    def _what_it_is(self, header: bytes) -> str:
        if self._place:
            return f"is damaged or truncated: no header where one is due, at byte {self._place:,}"
        if (
            header[:2] == b"\x1f\x8b"
            or header[:3] == b"BZh"
            or header[:6] == b"\xfd7zXZ\0"
            or header[:4] == b"(\xb5/\xfd"
        ):
            return "is compressed, so that images in it have no fixed position. Decompress it to a plain .tar"
        return "is no tar file"

    def _skip(self, size: int, header: bytes) -> None:
        end = self._place + size
        if end > self._size:
            name = _ustar_name(header).decode("utf-8", "backslashreplace")
            raise DataError(
                f"{self.name} is truncated: {name} should reach to byte {end:,}, but the file has {self._size:,}"
                ". Copy or download it again."
            )
        self._place = end + -size % BLOCK_BYTES

    def _long_name(self, kind: bytes, offset: int, size: int) -> bytes | None:
        """Return the next member's name from a GNU or pax header."""
        if size > _MAX_PAX_BYTES:
            raise DataError(f"{self.name} has an extended header of {size:,} bytes; at most {_MAX_PAX_BYTES:,}.")
        data = self._read(offset, size)
        if kind == b"L":
            return data.rstrip(b"\0")
        records = dict(self._pax_records(data))
        tricks = [key for key in records if key == b"size" or key.startswith(b"GNU.sparse")]
        tricks += [key for key in records if kind == b"g" and key == b"path"]
        if tricks:
            raise DataError(
                f"{self.name} has a member with its own {tricks[0].decode()}, which is not supported. Pack it again."
            )
        return records.get(b"path")

    def _pax_records(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of the records `LENGTH KEY=VALUE`, each with a line end."""
        while data.rstrip(b"\0"):
            digits, _, _ = data.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
            key, equals, value = data[len(digits) + 1 : length].partition(b"=")
            if not equals or length > len(data) or value[-1:] != b"\n":
                raise DataError(f"{self.name} is damaged: an extended header that cannot be read.")
            yield key, value[:-1]
            data = data[length:]

    def _is_sample(self, kind: bytes, name: bytes) -> bool:
        """Return whether a member is a regular file with a name inside the shard; count it as excluded if not."""
        if kind in _FILES and not name.endswith(b"/"):
            path = PurePosixPath(name.decode("latin-1"))
            if not (
                path.is_absolute() or ".." in path.parts or b"\0" in name or len(name) > MAX_NAME_BYTES or not name
            ):
                return True
            self.excluded["name that leads outside the shard"] += 1
        elif kind in _REFUSED:
            self.excluded[_REFUSED[kind]] += 1
        elif kind not in _IGNORED and kind not in _FILES:
            raise DataError(f"{self.name} has a member of the unknown or sparse type {kind!r}. Pack it again with tar.")
        return False

    def _check_end(self) -> None:
        """Check that only zeros follow the end mark: other readers may read on."""
        place = self._place
        while data := self._read(place, 1 << 20):
            if any(data):
                raise DataError(
                    f"{self.name} has content after its end mark, as concatenated tar files have. Pack them into one."
                )
            place += len(data)

    def _number(self, digits: bytes) -> int:
        if digits[0] & 0x80:  # GNU's binary form
            value = int.from_bytes(digits, "big", signed=False) & ((1 << 95) - 1)
            if digits[0] & 0x40:
                value = -1
        else:
            value = _octal(digits)
        if value < 0:
            raise DataError(f"{self.name} is damaged: a member's size is no number, or below 0.")
        return value

    def _read(self, place: int, size: int) -> bytes:
        self.file.seek(place)
        return self.file.read(size)


def _ustar_name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _octal(digits: bytes) -> int:
    """Return the number in a header's field, -1 where there is none."""
    text = digits.partition(b"\0")[0].strip() or b"0"
    return -1 if text.strip(b"01234567") else int(text, 8)
