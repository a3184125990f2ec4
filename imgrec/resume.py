"""From which checkpoint a run goes on, and whether it may."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgrec.checkpoint import CheckpointInfo, load_checkpoint, newest_valid
from imgrec.errors import CheckpointError

log = logging.getLogger("imgrec")

# What must be as it was for a run to go on exactly, and how a message calls it.
CHECKED = {
    "data_fingerprint": "the data (files, labels or split)",
    "class_names": "the classes",
    "seed": "seed",
    "batch_size": "data.batch_size",
    "world_size": "the number of processes",
}


def find_checkpoint(
    folder: Path, *, resume: str | None, record: Mapping[str, Any], allow_changed: Sequence[str] = ()
) -> Path | None:
    """Return the checkpoint to go on from, or None for a fresh start.

    resume: "auto" = the newest good one in the run folder; "never"; or the path of one.
    allow_changed: keys of `CHECKED` that may differ from what the checkpoint was made with.
    Raises: CheckpointError: it was made with other data, classes, seed, batch size or number of processes.
    """
    if resume == "never":
        return None
    path = _newest(folder) if resume in (None, "auto") else Path(str(resume))
    if path is None:
        return None
    _check(path, record=record, allow_changed=allow_changed)
    log.info("Going on from %s", path)
    return path


def _newest(folder: Path) -> Path | None:
    found = newest_valid(folder)
    for line in found.passed_over:
        log.warning(line)
    return found.path


def _check(path: Path, *, record: Mapping[str, Any], allow_changed: Sequence[str]) -> None:
    """Raise CheckpointError unless the run would go on as it began."""
    info = CheckpointInfo.from_checkpoint(load_checkpoint(path), name=str(path))
    changed = [key for key in CHECKED if getattr(info, key) != record[key] and key not in allow_changed]
    if changed:
        raise CheckpointError(
            f"{path} was made with other values of: {', '.join(CHECKED[key] for key in changed)}. "
            f"Put them back, start anew (resume=never, or another run_dir), or accept the change: "
            f"resume_allow_changed=[{','.join(changed)}]."
        )
