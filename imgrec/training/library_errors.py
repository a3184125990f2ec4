"""Errors of Lightning and PyTorch about disks, memory and processes, as ImgrecErrors that explain the remedy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from imgrec.core.files.atomic_write import FULL
from imgrec.errors import ConfigError, DataError, ImgrecError, RunFolderError

__all__ = ["explained"]


@contextmanager
def explained(config: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Turn library errors that the user can solve into an ImgrecError with the remedy.

    Args:
        config: Of the run: messages name its values.
        folder: Of the run.

    Raises:
        ImgrecError: In place of an error of a library. Other errors pass unchanged.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RunFolderError(
            f"Cannot write to {folder}: {FULL[error.errno]}. Its checkpoints are intact: free some space, then the "
            f"same command with run_dir={folder} resumes."
        ) from error
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"The GPU's memory is full with data.batch_size={config['data'].get('batch_size')}. Lower it (half of it "
            "with trainer.accumulate_grad_batches=2 trains alike), or choose a smaller model or preprocess.size."
        ) from error
    except RuntimeError as error:
        if "onnection closed by peer" in str(error) or "onnection reset by peer" in str(error):
            raise ImgrecError(f"Another process of this run has ended; the reason is in {folder}/error.log.") from error
        if str(error).startswith("DataLoader timed out"):
            raise DataError(
                f"No batch came for data.timeout_s={config['data']['timeout_s']:g} s: a worker hangs, most often "
                "on a file of a network drive. Solve that, or set data.timeout_s higher."
            ) from error
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            "A worker was killed, most often because memory, or shared memory in a container, ran out "
            "(docker --shm-size=8g). Set data.num_workers to fewer, or to 0."
        ) from error
