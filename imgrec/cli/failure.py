"""Errors of a command: a message of one or two lines, the exit code, and the traceback in `error.log`."""

import contextlib
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path

from imgrec.errors import ImgrecError

__all__ = ["DEBUG_VARIABLE", "LOG_NAME", "PREFIX", "is_debug", "last_error", "report"]

DEBUG_VARIABLE = "IMGREC_DEBUG"  # an environment variable, for the other processes of a run
LOG_NAME = "error.log"
PREFIX = "imgrec: error: "
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_PIPE_CLOSED = 141  # 128 + SIGPIPE
_FAULT = 1


def is_debug() -> bool:
    """Return whether tracebacks are shown (`--debug`)."""
    return os.environ.get(DEBUG_VARIABLE) == "1"


def report(error: BaseException, *, folder: Path | None = None) -> int:
    """Print an error to stderr, append its traceback to `folder`/error.log, and return the exit code.

    An ImgrecError is for the user to solve: its message and its exit code. Anything else is a bug in imgrec or a
    library: code 1, and the path of the traceback. With `--debug` the traceback is printed too.
    """
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("imgrec: interrupted\n")
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader of our output (head, less) has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    is_expected = isinstance(error, ImgrecError)
    message = str(error) if is_expected else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    log = _keep(trace, message=message, folder=folder)
    if is_debug() or (log is None and not is_expected):
        sys.stderr.write(trace)
    sys.stderr.write(f"{PREFIX}{_rank()}{message}\n")
    if not is_expected and log is not None:
        sys.stderr.write(f"This is a bug, not an invalid input. The traceback is in {log}; --debug prints it.\n")
    return error.exit_code if isinstance(error, ImgrecError) else _FAULT


def last_error(folder: Path) -> str:
    """Return the first line of the last message in `folder`/error.log, or ""."""
    try:
        lines = (folder / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix(PREFIX) for line in reversed(lines) if line.startswith(PREFIX)), "")


def _keep(trace: str, *, message: str, folder: Path | None) -> Path | None:
    """Append to the log of the run; None where that fails: a full disk must not hide the error."""
    if folder is None:
        return None
    path = folder / LOG_NAME
    with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(f"# {datetime.now().astimezone().isoformat(timespec='seconds')}\n{trace}{PREFIX}{message}\n\n")
        return path
    return None


def _rank() -> str:
    """Return a prefix with the process, except in the first one."""
    rank = os.environ.get("LOCAL_RANK", "0")
    return "" if rank == "0" else f"[process {rank}] "
