"""Errors of libraries are explained with a remedy; faults of imgrec pass unchanged."""

from pathlib import Path

import pytest
import torch

from imgrec.errors import ConfigError, DataError, ImgrecError, RunFolderError
from imgrec.training.library_errors import explained

CONFIG = {"data": {"batch_size": 64, "timeout_s": 300}}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), RunFolderError, "out: the disk is full.*free some space, then the sa"),
        (torch.OutOfMemoryError("CUDA out of memory"), ConfigError, "memory is full with data.batch_size=64"),
        (RuntimeError("DataLoader worker (pid 7) is killed"), DataError, "A worker was killed.*data.num_workers"),
        (
            RuntimeError("gloo: Connection closed by peer"),
            ImgrecError,
            "Another process of this run has ended.*out/err",
        ),
    ],
)
def test_what_breaks_below_is_explained(error: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message), explained(CONFIG, Path("out")):
        raise error


@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), RuntimeError("shape mismatch"), KeyError("x")])
def test_a_fault_stays_a_fault(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explained(CONFIG, Path("out")):
        raise error
    assert caught.value is error
