from .checkpoints import Checkpoints
from .early_stopping import EarlyStopping
from .finite import StopOnNonFinite
from .progress import ProgressLine
from .resume_state import ResumeState
from .run_log import RunLog

__all__ = ["Checkpoints", "EarlyStopping", "ProgressLine", "ResumeState", "RunLog", "StopOnNonFinite"]
