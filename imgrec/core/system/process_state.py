"""Save and restore the settings of this process that a job changes: for jobs called from Python."""

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["kept_process_state"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, *((signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()))


@contextmanager
def kept_process_state() -> Iterator[None]:
    """Restore, when the block ends, what was set before it.

    Random states of Python, NumPy and torch; torch's threads and determinism; signal handlers; levels and handlers of
    loggers; warning filters; `threading.excepthook`; environment variables.
    """
    environment, hook = dict(os.environ), threading.excepthook
    python, numpy_state = random.getstate(), np.random.get_state()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    loggers = {logger: (logger.level, list(logger.handlers)) for logger in _loggers()}
    torch_state = _torch_state()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        _set_torch_state(torch_state)
        threading.excepthook = hook
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for logger in _loggers():
            logger.level, logger.handlers = loggers.get(logger, (logger.level, logger.handlers))
        logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]  # levels are cached by each logger
        os.environ.clear()
        os.environ.update(environment)


def _loggers() -> list[logging.Logger]:
    named = logging.Logger.manager.loggerDict.values()
    return [logging.getLogger(), *(logger for logger in named if isinstance(logger, logging.Logger))]


def _torch_state() -> dict[str, Any] | None:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return {
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "precision": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
    }


def _set_torch_state(state: dict[str, Any] | None) -> None:
    torch = sys.modules.get("torch")
    if torch is None or state is None:
        return
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"] is not None:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    torch.set_num_threads(state["threads"])
    torch.use_deterministic_algorithms(state["deterministic"], warn_only=state["warn_only"])
    torch.backends.cudnn.benchmark = state["benchmark"]
    torch.set_float32_matmul_precision(state["precision"])
    torch.set_grad_enabled(state["grad"])
