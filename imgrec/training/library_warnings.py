"""Warnings of libraries that a user of imgrec can do nothing about, each with the reason why it is silenced."""

import functools
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

from imgrec.core.files.atomic_write import FULL

IGNORED = (
    # Lightning 2.6 with torch 2.14: an internal of its tree walking.
    r".*isinstance\(treespec, LeafSpec\).*",
    # The data module chooses the number of workers.
    r".*does not have many workers.*",
    # The run log writes each epoch by itself, however few steps it has.
    r".*is smaller than the logging interval.*",
    # What is logged has been gathered from all processes already, by torchmetrics.
    r".*sync_dist=True.*",
    # A run folder that holds checkpoints is what a resumed run expects.
    r".*Checkpoint directory .* exists and is not empty.*",
    # A frozen backbone is in eval mode on purpose.
    r".*module\(s\) in eval mode at the start of training.*",
)


def quiet_libraries() -> None:
    """Show warnings and errors of Lightning only, without those of `IGNORED`. May be called twice."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IGNORED:
        warnings.filterwarnings("ignore", message=message)
    if getattr(threading.excepthook, "func", None) is not _pass_on:
        threading.excepthook = functools.partial(_pass_on, before=threading.excepthook)


def _pass_on(arguments: threading.ExceptHookArgs, *, before: Callable[[threading.ExceptHookArgs], Any]) -> None:
    """Ignore a full disk: TensorBoard's writer thread passes that error on, and the run ends with a message."""
    error = arguments.exc_value
    if not (isinstance(error, OSError) and error.errno in FULL):
        before(arguments)
