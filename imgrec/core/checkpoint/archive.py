"""The file format of a checkpoint: the ZIP archive of torch.save with a digest inside, and checks of its content.

Digest: a ZIP archive ends with a comment, empty in what torch writes. imgrec puts `imgrec-sha256:` and 64 hex digits
there: the SHA-256 of every byte before the comment's two-byte length. File and digest are one file, so a killed process
cannot separate them, and torch.load, memory-mapped or not, reads the archive as before.

Content: torch.load(weights_only=True) runs no code, but a small file may claim much memory: by compressed records, by
calls such as bytearray(10**11), by a nested structure. `unsupported_names` finds these before anything is loaded.
"""

import hashlib
import os
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from imgrec.errors import CheckpointError

__all__ = ["SMALLEST", "DigestWriter", "unsupported_names", "verify", "verify_file"]

_MARK = b"imgrec-sha256:"
_COMMENT_BYTES = len(_MARK) + 64
_END = b"PK\x05\x06"  # the end record: 22 bytes, of which the last two are the length of the comment after it
_END_BYTES = 22
_CHUNK_BYTES = 1 << 20
SMALLEST = _END_BYTES  # bytes of a file that can be an archive

# What tensors and plain data are made of. torch allows more, of which some calls take memory at will, such as bytearray
# and the conversion of a tensor of 10**12 equal elements to another type; no checkpoint of a classifier needs them.
_PLAIN_NAMES = re.compile(
    r"collections OrderedDict|collections Counter|__builtin__ set|builtins set|torch Size|torch device"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)|torch\.nn\.parameter Parameter"
    r"|torch \w+Storage|torch (bool|uint8|int\d+|b?float\d+|complex\d+)"
)


class DigestWriter:
    """A file object for torch.save that writes to `file`, hashes the bytes on the way, and appends the digest.

    Nothing is held in memory.

    Attributes:
        error: What the first failing write raised; torch replaces it with an error of its own.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self._file = file
        self._digest = hashlib.sha256()
        self._tail = b""  # the last bytes given, held back: at the end they are the end record

    def write(self, data: bytes | memoryview) -> int:
        """Write the next bytes, all of them, and return how many.

        Raises:
            OSError: The disk is full, or cannot be written.
        """
        view = memoryview(data).cast("B")
        if len(view) < _END_BYTES:
            view = memoryview(self._tail + bytes(view))
        else:
            self._put(self._tail)
        self._put(view[:-_END_BYTES])
        self._tail = bytes(view[-_END_BYTES:])
        return len(data)

    def flush(self) -> None:
        """Do nothing, as the last bytes are held back; `finish` writes them."""

    def finish(self) -> None:
        """Write the end record with the digest as its comment."""
        assert self._tail.startswith(_END) and self._tail.endswith(b"\0\0"), "torch.save ends an archive otherwise now"
        self._put(self._tail[:-2])
        comment = _MARK + self._digest.hexdigest().encode()
        self._file.write(struct.pack("<H", len(comment)) + comment)

    def _put(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise


def verify(path: Path) -> bool | None:
    """Check a checkpoint against the digest that it carries.

    Returns:
        True: complete, as written. False: damaged or truncated. None: no digest, as in files of other programs.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return verify_file(file)


def verify_file(file: BinaryIO) -> bool | None:
    """Check an open checkpoint; see `verify`."""
    size = file.seek(0, os.SEEK_END)
    if size < _END_BYTES:
        return False
    covered = size - 2 - _COMMENT_BYTES
    if covered >= _END_BYTES - 2:
        end = _read(file, covered - (_END_BYTES - 2), size)
        if end.startswith(_END) and end[_END_BYTES - 2 :].startswith(struct.pack("<H", _COMMENT_BYTES) + _MARK):
            return _sha256(file, covered).encode() == end[-64:]
    end = _read(file, size - _END_BYTES, size)
    if end.startswith(_END) and end.endswith(b"\0\0"):
        return None
    # An archive without its end, or with one that was changed. What does not begin as an archive is not one of ours.
    return False if _read(file, 0, 4) == b"PK\x03\x04" else None


def unsupported_names(file: BinaryIO, path: Path) -> list[str]:
    """Return the Python names, as `module.name`, that an open checkpoint calls for beyond tensors and plain data.

    Nothing is unpickled, and no tensor read.

    Raises:
        CheckpointError: Not an archive of PyTorch, damaged, compressed, or with a pickle far larger than it needs.
    """
    pickled = _read_structure(file, path)
    names, texts = set(), [""]
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in ("GLOBAL", "INST"):
                names.add(str(argument))
            elif opcode.name == "STACK_GLOBAL":  # protocol 4: module and name are the two texts before
                names.add("computed " + ".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts = [texts[-1], argument]
    except Exception as error:  # genops raises what the bytes make it raise: ValueError, UnicodeDecodeError, IndexError
        raise CheckpointError(f"{path} is damaged: its pickle cannot be read. Use another checkpoint.") from error
    return sorted(name.replace(" ", ".") for name in names if not _PLAIN_NAMES.fullmatch(name))


def _read_structure(file: BinaryIO, path: Path) -> bytes:
    """Return the pickle of an open checkpoint, after the archive's table of contents was checked."""
    size = file.seek(0, os.SEEK_END)
    if _read(file, 0, 4) != b"PK\x03\x04":
        raise CheckpointError(
            f"{path} is not a checkpoint of PyTorch (not a ZIP archive). A file of weights alone is given as "
            "model.weights=PATH."
        )
    try:
        archive = zipfile.ZipFile(file)
        record = _structure_record(archive.infolist(), size=size, path=path)
        return archive.read(record)
    except CheckpointError:
        raise
    except Exception as error:  # BadZipFile, and whatever else a garbled table makes zipfile raise
        raise CheckpointError(f"{path} is damaged or truncated: {error}. Use another checkpoint.") from error


def _structure_record(records: list[zipfile.ZipInfo], *, size: int, path: Path) -> zipfile.ZipInfo:
    """Return the entry of the pickle that describes the content, after checking the archive's table."""
    _check_records(records, size=size, path=path)
    pickles = [record for record in records if record.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or any(record.filename.endswith("/constants.pkl") for record in records):
        raise CheckpointError(f"{path} is not a checkpoint of torch.save: a TorchScript model, or another ZIP archive.")
    # 1 MiB and a hundredth of the file: many times what real ones have. One byte of pickle can become 200 in memory.
    if pickles[0].file_size > (1 << 20) + size // 100:
        raise CheckpointError(
            f"{path} describes its content in {pickles[0].file_size:,} bytes, far more than its tensors need. "
            "imgrec does not load it."
        )
    return pickles[0]


def _check_records(records: list[zipfile.ZipInfo], *, size: int, path: Path) -> None:
    if any(record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1 for record in records):
        raise CheckpointError(
            f"{path} holds compressed or encrypted records, which PyTorch never writes: {size:,} bytes could unpack to "
            "any size. imgrec does not load it. If it was re-packed by a ZIP program, use the original."
        )
    # PyTorch finds records without regard to case: with two of a name, it could read another than was checked here.
    is_double = len({record.filename.lower() for record in records}) < len(records)
    if is_double or sum(record.file_size for record in records) > size:
        raise CheckpointError(
            f"{path} is damaged: its records are larger than the file, or there twice. Use another checkpoint."
        )


def _read(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)


def _sha256(file: BinaryIO, count: int) -> str:
    """Return the digest of the first `count` bytes, in hex."""
    digest = hashlib.sha256()
    file.seek(0)
    while count > 0 and (block := file.read(min(count, _CHUNK_BYTES))):
        digest.update(block)
        count -= len(block)
    return digest.hexdigest()
