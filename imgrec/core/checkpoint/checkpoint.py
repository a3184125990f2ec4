"""Save and load checkpoints, and find the newest undamaged one in a folder.

Every checkpoint that `save_checkpoint` writes can be loaded: it refuses what `load_checkpoint` refuses. Neither runs
code from a file.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, cast

from imgrec.core.checkpoint.archive import SMALLEST, DigestWriter, unsupported_names, verify, verify_file
from imgrec.core.checkpoint.content import CheckpointInfo, claimed_bytes, non_finite_keys, non_plain_keys, stored_bytes
from imgrec.core.files.atomic_write import durable_write
from imgrec.core.text import counted, listed
from imgrec.errors import CheckpointError, NonFiniteError, did_you_mean

__all__ = [
    "CheckpointInfo",
    "NewestCheckpoint",
    "checkpoint_file",
    "load_checkpoint",
    "local_path",
    "newest_valid",
    "previous_path",
    "save_checkpoint",
    "verify",
]

# Where a NaN would spoil the run. Elsewhere an infinity is valid: early stopping starts from a best of infinity.
_FINITE_KEYS = ("state_dict", "current_model_state", "optimizer_states")
_MAX_CLAIM = 4  # the elements that tensors may claim, as a multiple of the bytes they have; tied weights claim twice
_SLACK_BYTES = 1 << 20
BEST = "best.ckpt"


def save_checkpoint(checkpoint: dict[str, Any], path: str | Path, *, keep_previous: bool = False) -> None:
    """Write a checkpoint with its digest; `path` holds the old file or the complete new one at every moment.

    Tensors are written one by one; the file is not built in memory.

    Args:
        checkpoint: Tensors and plain data (None, numbers, text, lists, tuples, dicts, sets), as Lightning collects it.
        path: The file to write, on a local disk.
        keep_previous: Keep the old file as NAME.previous.SUFFIX (`previous_path`).

    Raises:
        NonFiniteError: NaN or infinity in the weights or the optimizer's state. Nothing is written.
        CheckpointError: Something other than tensors and plain data; it is named. The old file stays.
        RunFolderError: No space, or no permission to write. The old file stays.
    """
    path = local_path(path)
    _require_plain(checkpoint, path)
    _require_finite(checkpoint, path)
    size = stored_bytes(checkpoint)
    _require_real_size(checkpoint, size=size, path=path)
    with durable_write(path, size=size, keep_as=previous_path(path) if keep_previous else None) as file:
        _write_archive(checkpoint, file)
        if names := unsupported_names(file, path):
            raise CheckpointError(
                f"{path} was not written: it would need {', '.join(names)}, which imgrec does not load. "
                "A checkpoint holds dense tensors of the usual types (float, int, uint8, bool) and plain data."
            )


def load_checkpoint(path: str | Path, *, map_location: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint of tensors and plain data, by imgrec or by Lightning, without running any code from it.

    A checkpoint of imgrec is checked against its digest first. Memory: the size of the file, and little more. The
    folder of a run stands for its `best.ckpt`.

    Raises:
        CheckpointError: Missing (similar names are given), remote, damaged, compressed, with Python objects inside, or
            with tensors that claim far more than the file holds.
    """
    path = checkpoint_file(path)
    with _open(path) as file:
        if verify_file(file) is False:
            raise CheckpointError(_damage(path, os.fstat(file.fileno()).st_size))
        _refuse_objects(file, path)
        return _unpickle(file, path, map_location=map_location)


class NewestCheckpoint(NamedTuple):
    """The checkpoint to resume from (None: there is none), and a line for each that was skipped."""

    path: Path | None
    skipped: list[str]


def newest_valid(folder: Path) -> NewestCheckpoint:
    """Find the undamaged checkpoint in `folder` (`*.ckpt`) with the highest `global_step`.

    By the step inside, since clocks may be incorrect and copies lose their times; of equals `last.ckpt` first, then the
    one written last. Only checkpoints with a digest count.
    """
    skipped = []
    steps: dict[Path, int] = {}
    for path in sorted(folder.glob("*.ckpt")):
        try:
            steps[path] = _global_step(path)
        except CheckpointError as error:
            skipped.append(f"Skipped: {error}")
    for path in sorted(steps, key=lambda path: _newness(path, steps[path]), reverse=True):
        if is_whole := verify(path):
            return NewestCheckpoint(path, skipped)
        reason = "carries no digest, so imgrec did not write it" if is_whole is None else "is damaged (wrong SHA-256)"
        skipped.append(f"Skipped: {path} {reason}; it was at step {steps[path]}.")
    return NewestCheckpoint(None, skipped)


def previous_path(path: Path) -> Path:
    """Return the name under which the previous file is kept: `last.ckpt` -> `last.previous.ckpt`."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def checkpoint_file(path: str | Path) -> Path:
    """Return the file that `path` names: itself, or `best.ckpt` in the folder of a run."""
    path = local_path(path)
    return path / BEST if (path / BEST).is_file() else path


def local_path(path: str | Path) -> Path:
    """Return `path` as a Path.

    Raises:
        CheckpointError: It is a URL (http, s3, ...), not a local file.
    """
    # Two letters at least, as C:/ is a drive; one slash, as Path turns http:// into http:/.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise CheckpointError(
            f"{path} is a URL. imgrec loads checkpoints from this machine only: download it first, from a source "
            "that you trust, and give the path of the file."
        )
    return Path(path)


def _damage(path: Path, size: int) -> str:
    """Return the message for a file that does not match its digest, or is too short to have one."""
    what = "is damaged or truncated: its content does not match its SHA-256"
    if size < SMALLEST:
        what = f"is truncated, or not a checkpoint: it has {counted(size, 'byte')}"
    previous = previous_path(path)
    return f"{path} {what}. Use another checkpoint of the run{f', such as {previous.name}' * previous.is_file()}."


def _require_plain(checkpoint: dict[str, Any], path: Path) -> None:
    if found := non_plain_keys(checkpoint):
        raise CheckpointError(
            f"{path} was not written: {listed(found, limit=3)}. A checkpoint holds tensors and plain data only "
            "(numbers, text, lists, dicts): convert it first, such as by str(), float() or OmegaConf.to_container()."
        )


def _require_finite(checkpoint: dict[str, Any], path: Path) -> None:
    if found := non_finite_keys(checkpoint, _FINITE_KEYS):
        raise NonFiniteError(
            f"{path} was not written: NaN or infinity in {listed(found, limit=3)}. The previous file is unchanged. "
            "Lower the learning rate, or clip gradients."
        )


def _require_real_size(checkpoint: dict[str, Any], *, size: int, path: Path) -> None:
    claimed = claimed_bytes(checkpoint)
    if claimed > _MAX_CLAIM * size + _SLACK_BYTES:
        raise CheckpointError(
            f"{path}: its tensors claim {claimed:,} bytes, but hold only {size:,}: one is an expanded view, or the "
            "file is made to fill the memory. Save a copy of the view (.clone()), or do not use the file."
        )


def _write_archive(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    import torch

    writer = DigestWriter(file)
    try:
        torch.save(checkpoint, cast(IO[bytes], writer))  # it calls write and flush only
    except RuntimeError:
        if writer.error is not None:
            raise writer.error from None
        raise
    writer.finish()


def _refuse_objects(file: BinaryIO, path: Path) -> None:
    if names := unsupported_names(file, path):
        raise CheckpointError(
            f"{path} holds Python objects ({listed(names, limit=3)}), which could run code; imgrec does not load it. "
            "Use a file of the weights alone, best as .safetensors."
        )


def _unpickle(file: BinaryIO, path: Path, *, map_location: str) -> dict[str, Any]:
    import torch

    file.seek(0)
    try:
        checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except Exception as error:  # whatever the bytes of a garbled pickle lead to: KeyError, struct.error, ...
        reason = str(error).strip().split("\n")[0][:200]
        raise CheckpointError(f"{path} cannot be read ({reason}). It is damaged: use another checkpoint.") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint: it holds a value of type {type(checkpoint).__name__}, not a dict."
        )
    _require_real_size(checkpoint, size=os.fstat(file.fileno()).st_size, path=path)
    return checkpoint


def _global_step(path: Path) -> int:
    """Return the step of a checkpoint without reading its tensors."""
    with _open(path) as file:
        _refuse_objects(file, path)
        step = _unpickle(file, path, map_location="meta").get("global_step")
    if not isinstance(step, int):
        raise CheckpointError(f"{path} is not a checkpoint of a training run: it holds no global_step.")
    return step


def _newness(path: Path, step: int) -> tuple[int, bool, int]:
    return step, path.name == "last.ckpt", path.stat().st_mtime_ns


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    _require_file(path)
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}. Check its permissions and its disk."
        ) from error


def _require_file(path: Path) -> None:
    """Refuse what is not a regular file: opening a pipe would wait forever."""
    if path.is_file():
        return
    if path.exists():
        raise CheckpointError(f"{path} is not a file. Give the path of a checkpoint, such as {path / BEST}.")
    if not path.parent.is_dir():
        raise CheckpointError(f"{path} does not exist: there is no folder {path.parent}.")
    others = sorted(other.name for other in path.parent.glob("*.ckpt"))
    near = did_you_mean(path.name, others)
    there = f" In that folder: {listed(others, limit=5)}." if others and not near else ""
    raise CheckpointError(f"{path} does not exist.{near}{there}")
