"""What happens around a training step: checkpoints, logs, progress, and the checks that stop a run in time."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.callbacks.checkpoints import Checkpoints
    from imgrec.callbacks.early_stopping import EarlyStopping
    from imgrec.callbacks.finite import StopOnNonFinite
    from imgrec.callbacks.progress import ProgressLine
    from imgrec.callbacks.resume_state import ResumeState
    from imgrec.callbacks.run_log import RunLog

__all__ = ["Checkpoints", "EarlyStopping", "ProgressLine", "ResumeState", "RunLog", "StopOnNonFinite"]

_FILES = {
    "Checkpoints": "checkpoints",
    "EarlyStopping": "early_stopping",
    "ProgressLine": "progress",
    "ResumeState": "resume_state",
    "RunLog": "run_log",
    "StopOnNonFinite": "finite",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
