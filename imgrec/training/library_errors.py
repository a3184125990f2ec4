"""What Lightning and PyTorch say when a disk, a memory or a process gives out, in words that tell what to do."""

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
    """Turn what goes wrong inside the block and is the user's to mend into an ImgrecError that says what to do.

    config: of the run, for what its message names; folder: of the run.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RunFolderError(
            f"Cannot write to {folder}: {FULL[error.errno]}. Its checkpoints are whole: free some space, then the same "
            f"command with run_dir={folder} goes on."
        ) from error
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"The GPU's memory is full with data.batch_size={config['data'].get('batch_size')}. Lower it (half of it "
            "with trainer.accumulate_grad_batches=2 learns alike), or take a smaller model or preprocess.size."
        ) from error
    except RuntimeError as error:
        if "onnection closed by peer" in str(error) or "onnection reset by peer" in str(error):
            raise ImgrecError(f"Another process of this run has ended; {folder}/error.log says why.") from error
        if str(error).startswith("DataLoader timed out"):
            raise DataError(
                f"No batch came for data.timeout_s={config['data']['timeout_s']:g} s: a loader process hangs, most "
                "often on a file that a network drive does not deliver. Mend that, or set data.timeout_s higher."
            ) from error
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            "A loader process was killed, most often for want of memory, or of shared memory in a container "
            "(docker --shm-size=8g). Set data.num_workers to fewer, or to 0."
        ) from error
