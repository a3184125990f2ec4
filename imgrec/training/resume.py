"""Choose the checkpoint that a run resumes from, and check that it belongs to the same training."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from imgrec.core.checkpoint.checkpoint import CheckpointInfo, load_checkpoint, newest_valid
from imgrec.core.text import listed
from imgrec.errors import CheckpointError, ConfigError, did_you_mean

__all__ = ["CHECKED", "Start", "announce", "find_start", "set_aside"]

log = logging.getLogger("imgrec")

# What must be unchanged for a run to resume exactly, and its name in messages.
CHECKED = {
    "data_fingerprint": "the data (files, labels or split)",
    "class_names": "the classes",
    "seed": "seed",
    "batch_size": "data.batch_size",
    "world_size": "the number of processes",
    "settings": "other settings",
}
# Groups whose values make the weights what they are, and keys of them that follow from the data.
_GROUPS = ("model", "loss", "optimizer", "scheduler", "mixing", "augment", "preprocess")
_FROM_DATA = ("num_classes", "class_counts", "num_samples")
# The saved state belongs to this optimizer and schedule: with others a run cannot resume.
_FIXED = ("optimizer._target_", "optimizer.name", "scheduler._target_", "scheduler.name")
# Written beside the checkpoints; log files stay, as they are open.
_OTHER_FILES = ("history.csv", "result.json", "nonfinite.json", "evaluation", "tensorboard")


@dataclass(frozen=True)
class Start:
    """The checkpoint that a run resumes from, its optimizer steps and its completed epochs."""

    path: Path
    step: int
    epochs: int


def find_start(
    folder: Path,
    *,
    resume: str | None,
    record: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    allow_changed: Sequence[str] = (),
) -> Start | None:
    """Return the checkpoint to resume from, or None to train from scratch.

    Args:
        folder: Of the run.
        resume: "auto" or None: the newest valid checkpoint in the run folder; "never"; or the path of a checkpoint.
        record: Of this run, to compare with that of the checkpoint.
        tensors: Of this run's classifier, to compare names and shapes.
        allow_changed: Keys of `CHECKED` that may differ from the checkpoint's.

    Raises:
        CheckpointError: No checkpoint at that path, or one of another training.
        ConfigError: `resume` is none of these.
    """
    if resume == "never":
        return None
    path = _newest(folder) if resume in (None, "auto") else _named(str(resume))
    if path is None:
        return None
    start, payload = _read(path)
    info = CheckpointInfo.from_checkpoint(payload, name=str(path))
    _check_fit(payload.get("state_dict", {}), tensors, path=path)
    _check_same(info, path=path, record=record, allow_changed=allow_changed)
    return start


def announce(start: Start, *, max_epochs: int | None, max_steps: int) -> None:
    """Log where the run resumes, or that it is complete.

    Raises:
        CheckpointError: The checkpoint has more epochs than `max_epochs`.
    """
    if max_epochs is not None and -1 < max_epochs < start.epochs:
        raise CheckpointError(
            f"{start.path} has {start.epochs} completed epochs, more than trainer.max_epochs={max_epochs}. "
            f"Set trainer.max_epochs={start.epochs} or more, or train from scratch (resume=never, or another run_dir)."
        )
    if start.epochs == max_epochs or -1 < max_steps <= start.step:
        log.info(
            "This run is complete; its best checkpoint is evaluated again. To continue: a larger trainer.max_epochs."
        )
    else:
        log.info("Resuming from %s: %d epochs, %d steps", start.path, start.epochs, start.step)


def set_aside(folder: Path, *, start: Start | None) -> Path | None:
    """Move files of an earlier run, which this one does not resume from, into a subfolder of `folder`.

    Otherwise checkpoints of the earlier run with more steps would be taken for the newest ones the next time.

    Returns:
        The subfolder, or None where there was nothing to move.
    """
    if start is None or start.path.parent.resolve() != folder.resolve():
        stale = [*folder.glob("*.ckpt"), *(folder / name for name in _OTHER_FILES)]
    else:
        stale = [path for path in folder.glob("*.ckpt") if path != start.path and _step_of(path) > start.step]
    stale = [path for path in stale if path.exists()]
    if not stale:
        return None
    number = 1 + sum(1 for _ in folder.glob("earlier-*"))
    aside = folder / f"earlier-{number}"
    aside.mkdir()
    for path in stale:
        path.rename(aside / path.name)
    log.info("Files of the earlier run in %s are now in %s.", folder, aside)
    return aside


def _newest(folder: Path) -> Path | None:
    found = newest_valid(folder)
    for line in found.skipped:
        log.warning(line)
    return found.path


def _named(resume: str) -> Path:
    path = Path(resume)
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        near = did_you_mean(resume, ["auto", "never"])
        raise ConfigError(f"resume={resume}: use auto, never, or the path of a checkpoint.{near}")
    return path


def _read(path: Path) -> tuple[Start, dict[str, Any]]:
    payload = load_checkpoint(path)
    try:
        epochs = payload["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        return Start(path, step=int(payload["global_step"]), epochs=int(epochs)), payload
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} has no training state to resume from. To start from its weights: model.weights={path}"
        ) from error


def _step_of(path: Path) -> int:
    """Return the step of a checkpoint; -1 for a damaged one, from which no run resumes."""
    try:
        return _read(path)[0].step
    except CheckpointError:
        return -1


def _check_fit(saved: Mapping[str, Tensor], own: Mapping[str, Tensor], *, path: Path) -> None:
    different = sorted(saved.keys() ^ own.keys())
    different += [name for name in saved.keys() & own.keys() if saved[name].shape != own[name].shape]
    if different:
        raise CheckpointError(
            f"{path} is of another model: {listed(different, limit=3)} differ. Choose the model as it was, or train "
            "from scratch (resume=never, or another run_dir)."
        )


def _check_same(info: CheckpointInfo, *, path: Path, record: Mapping[str, Any], allow_changed: Sequence[str]) -> None:
    """Check that a resumed run would be the one that the checkpoint is of."""
    settings = list(_changed_settings(info.config, record["config"]))
    if fixed := [text for key, text in settings if key in _FIXED]:
        raise CheckpointError(
            f"{path} has the state of another optimizer or schedule: {listed(fixed, limit=3)}. Set it back, or train "
            "from scratch (resume=never, or another run_dir); model.weights=CHECKPOINT starts from its weights."
        )
    changed = {key: CHECKED[key] for key in CHECKED if key != "settings" and getattr(info, key) != record[key]}
    if settings:
        changed["settings"] = listed([text for _, text in settings], limit=3)
    wrong = [key for key in changed if key not in allow_changed]
    if wrong:
        raise CheckpointError(
            f"{path} was made with other values of: {', '.join(changed[key] for key in wrong)}. "
            f"Set them back, train from scratch (resume=never, or another run_dir), or accept the change: "
            f"resume_allow_changed=[{','.join(changed)}]."
        )
    if settings:
        log.warning("Changed since %s: %s. Learning rates stay as saved.", path, changed["settings"])


def _changed_settings(saved: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, text for a message) of each value that differs."""
    before, now = dict(_values(saved)), dict(_values(own))
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            is_long = isinstance(before.get(key), list | dict) or isinstance(now.get(key), list | dict)
            yield key, key if is_long else f"{key} ({before.get(key)}, now {now.get(key)})"


def _values(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in _GROUPS:
        for name, value in (config.get(group) or {}).items():
            if name == "_target_" and str(value).startswith("imgrec."):
                value = str(value).rpartition(".")[2]  # modules of imgrec have moved, their public names have not
            if name not in _FROM_DATA:
                yield f"{group}.{name}", value
