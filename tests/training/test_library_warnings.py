"""Which messages of libraries are silenced."""

import logging
import threading
import warnings
from types import SimpleNamespace

import pytest

from imgrec.training.library_warnings import quiet_libraries


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


def told(error: BaseException) -> list[BaseException]:
    """Return what reaches the hook that was there before."""
    seen: list[BaseException] = []
    threading.excepthook = lambda arguments: seen.append(arguments.exc_value)
    quiet_libraries()
    quiet_libraries()
    threading.excepthook(SimpleNamespace(exc_value=error))
    return seen


def test_a_full_disk_in_a_thread_is_not_told_twice():
    assert told(OSError(28, "No space left on device")) == []


def test_any_other_error_in_a_thread_is_told_once():
    error = OSError(13, "Permission denied")
    assert told(error) == [error]
    assert len(told(ValueError("x"))) == 1


def test_lightning_speaks_from_warnings_upwards():
    quiet_libraries()
    assert logging.getLogger("pytorch_lightning").level == logging.WARNING


def test_only_the_listed_warnings_are_dropped():
    quiet_libraries()
    warnings.warn("The 'train_dataloader' does not have many workers which may be a bottleneck", stacklevel=1)
    with pytest.raises(UserWarning, match="something else"):
        warnings.warn("something else", stacklevel=1)
