"""The checkpoint plugin for Lightning's Trainer: durable writes, safe loading."""

from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import CheckpointIO

from imgrec.core.checkpoint.checkpoint import load_checkpoint, local_path, previous_path, save_checkpoint
from imgrec.core.files.atomic_write import durable_link
from imgrec.errors import CheckpointError

__all__ = ["DurableCheckpointIO", "link_checkpoint"]


class DurableCheckpointIO(CheckpointIO):
    """A plugin for `Trainer(plugins=[...])` that saves and loads by `imgrec.core.checkpoint.checkpoint`.

    With several processes, rank 0 alone writes; an error there must end the others too, or they wait for it.

    Args:
        keep_previous: Names of files whose predecessor is kept beside them, as `last.previous.ckpt`.
    """

    def __init__(self, *, keep_previous: tuple[str, ...] = ("last.ckpt",)) -> None:
        super().__init__()
        self.keep_previous = keep_previous

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint as `imgrec.core.checkpoint.checkpoint.save_checkpoint` does, with its errors."""
        if storage_options is not None:
            raise CheckpointError(f"storage_options={storage_options!r}: imgrec writes local files, which take none.")
        path = local_path(path)
        save_checkpoint(checkpoint, path, keep_previous=path.name in self.keep_previous)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load a checkpoint to the CPU, unless `map_location` names a device.

        Raises:
            CheckpointError: `weights_only=False`, or as `imgrec.core.checkpoint.checkpoint.load_checkpoint`.
        """
        if weights_only is False:
            raise CheckpointError(
                f"weights_only=False for {path}: imgrec never loads Python objects, which could run code."
            )
        return load_checkpoint(path, map_location="cpu" if map_location is None else str(map_location))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        local_path(path).unlink(missing_ok=True)


def link_checkpoint(source: Path, path: Path, *, keep_previous: bool = True) -> None:
    """Make `path` the same checkpoint as `source` without writing it again (hard link where possible).

    Args:
        source: An existing checkpoint.
        path: Its second name.
        keep_previous: Keep the old file at `path` as `previous_path(path)`.

    Raises:
        RunFolderError: `path` cannot be written.
    """
    durable_link(source, path, keep_as=previous_path(path) if keep_previous else None)
