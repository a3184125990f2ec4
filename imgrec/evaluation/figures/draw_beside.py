"""Predictions and figures of an evaluation, the figures drawn by another process in parallel.

Importing matplotlib and drawing take as long as computing all metrics, and threads would compete for the GIL. If the
process fails, the figures are drawn here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgrec.core.system.hardware import num_processors
from imgrec.evaluation.figures.draw_all import draw_figures
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["write_with_figures"]

FEWEST_ROWS = 2_000  # for fewer, starting the process takes longer than drawing
MOST_NUMBERS = 5_000_000  # logits that may be in memory twice: with probabilities 120 MB
TIMEOUT_S = 300.0


@contextmanager
def write_with_figures(predictions: Predictions, folder: Path) -> Iterator[None]:
    """Write predictions.parquet into `folder`, and draw its figures while the block runs.

    The figures exist when the block has ended, also after an exception; KeyboardInterrupt does not wait for them.

    Raises:
        RunFolderError: A file cannot be written.
    """
    process = _start(folder) if _is_worth_it(predictions) else None
    try:
        write_parquet(predictions, folder / "predictions.parquet")
        if process is None:
            draw_figures(predictions, folder)
        else:
            _start_drawing(process)
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
        draw_figures(predictions, folder)


def _is_worth_it(predictions: Predictions) -> bool:
    return num_processors() > 1 and len(predictions) >= FEWEST_ROWS and predictions.logits.size <= MOST_NUMBERS


def _start(folder: Path) -> "subprocess.Popen[bytes] | None":
    """Start the process, which waits for `_start_drawing`; None where the system cannot start it."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "imgrec.evaluation.figures.draw_all", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # an error occurs again here, and is reported
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the other
        )
    except OSError:
        return None


def _start_drawing(process: "subprocess.Popen[bytes]") -> None:
    """Signal that the predictions are written, or will not be."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has failed: see its exit code
        process.stdin.close()


def _is_done(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the process; return whether it has drawn the figures."""
    _start_drawing(process)
    try:
        return process.wait(TIMEOUT_S) == 0
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            return False
        raise


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    _start_drawing(process)
    process.wait()
