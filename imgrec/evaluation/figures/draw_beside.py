"""A table of predictions, and its images drawn by a process of their own while this one goes on.

Importing matplotlib and drawing take as long as all numbers of an evaluation, and Python's threads would take turns.
Nothing depends on that process: where it does not come to its end, this one draws.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgrec.core.system.hardware import num_processors
from imgrec.evaluation.figures.draw_all import draw_images
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["table_and_images"]

FEWEST_ROWS = 2_000  # below, the process would start for longer than it saves
MOST_NUMBERS = 5_000_000  # logits of a table that may be in memory twice: with its probabilities 120 MB
PATIENCE_S = 300.0


@contextmanager
def table_and_images(predictions: Predictions, folder: Path) -> Iterator[None]:
    """Write predictions.parquet into `folder`, and draw its images while the block runs.

    They are there when it has ended; after an error inside, too, which says nothing about them. Ctrl-C and other ends
    do not wait for them. Raises: RunFolderError: something cannot be written.
    """
    process = _start(folder) if _is_worth_it(predictions) else None
    try:
        write_parquet(predictions, folder / "predictions.parquet")
        if process is None:
            draw_images(predictions, folder)
        else:
            _go(process)
        yield
    except Exception:
        if process is not None:
            _is_done(process)
        raise
    except BaseException:
        if process is not None:
            _end(process)
        raise
    if process is not None and not _is_done(process):
        draw_images(predictions, folder)


def _is_worth_it(predictions: Predictions) -> bool:
    return num_processors() > 1 and len(predictions) >= FEWEST_ROWS and predictions.logits.size <= MOST_NUMBERS


def _start(folder: Path) -> "subprocess.Popen[bytes] | None":
    """Return the process, which makes itself ready and waits for `_go`; None where this system starts none."""
    path = os.pathsep.join(place or os.getcwd() for place in sys.path)  # noqa: PTH109
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "imgrec.evaluation.figures.draw_all", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what goes wrong there goes wrong here again, and is said
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
        )
    except OSError:
        return None


def _go(process: "subprocess.Popen[bytes]") -> None:
    """Tell the process that the table is there, or will not be."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has failed, as will be seen
        process.stdin.close()


def _is_done(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the process; whether it has drawn."""
    _go(process)
    try:
        return process.wait(PATIENCE_S) == 0
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            return False
        raise


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    _go(process)
    process.wait()
