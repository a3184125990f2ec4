"""The state of each process that a run needs, beyond weights, optimizer and counters, to resume bit for bit.

It holds the states of the global random generators (dropout draws from them) and the metrics of a half-finished epoch,
as tensors and numbers, so that the checkpoint opens with `weights_only=True`.
"""

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from imgrec.training.classifier import Classifier

KEY = "resume_state"


class ResumeState(Callback):
    """Saves and restores the state of each process."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Gather the parts of all processes; Lightning calls this on each of them."""
        assert isinstance(pl_module, Classifier)
        part = {"random": random_state(), "train_metrics": pl_module.train_metrics.state()}
        checkpoint[KEY] = _gather(part, trainer.world_size)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep this process's part until training begins."""
        parts = checkpoint.get(KEY)
        self._loaded = parts[trainer.global_rank] if parts and len(parts) == trainer.world_size else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore. By now the loaders exist and the metrics are on their device."""
        if self._loaded is None:
            return
        assert isinstance(pl_module, Classifier)
        of_before = self._loaded.get("train_scores")  # the key until version 0.1
        pl_module.train_metrics.load_state(of_before or self._loaded["train_metrics"])
        set_random_state(self._loaded["random"])
        self._loaded = None


def _gather(part: dict[str, Any], world_size: int) -> list[Any]:
    if world_size == 1:
        return [part]
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, part)
    return parts


def random_state() -> dict[str, Any]:
    """Return the state of Python's, NumPy's and torch's global generators as tensors and numbers."""
    version, state, gauss = random.getstate()
    name, keys, position, has_gauss, cached_gaussian = np.random.get_state(legacy=True)
    assert name == "MT19937"
    return {
        "python": {"version": version, "state": torch.tensor(state, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached_gaussian": float(cached_gaussian),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the global generators back to what `random_state` returned."""
    python, numpy = state["python"], state["numpy"]
    internal = python["words"] if "words" in python else python["state"]  # the key until version 0.1
    random.setstate((python["version"], tuple(internal.tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, numpy["position"], numpy["has_gauss"], numpy["cached_gaussian"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
