"""Stop when the loss or a gradient becomes NaN or infinite, and list the images of the batch."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from imgrec.core.files.json_file import write_json
from imgrec.core.text import listed
from imgrec.errors import NonFiniteError


class StopOnNonFinite(Callback):
    """Checks loss and gradient norm before each optimizer step, so that NaN never reaches the weights.

    With 16-mixed precision only the loss is checked: there the scaler skips steps with an infinite gradient.

    Args:
        folder: Where `nonfinite.json` goes.

    Attributes:
        grad_norm: Total norm of the gradients of the last step, before clipping.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.grad_norm: Tensor | None = None
        self._indices: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Remember the samples of the next step."""
        self._indices.append(batch["indices"])

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Check loss and gradients.

        Raises:
            NonFiniteError: One of them is NaN or infinite.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.grad_norm = torch.nn.utils.get_total_norm(gradients)
        loss = pl_module.last_loss
        assert isinstance(loss, Tensor)
        checked = loss if getattr(trainer.precision_plugin, "scaler", None) is not None else loss + self.grad_norm
        if not bool(torch.isfinite(checked)):
            self._stop(trainer, loss=float(loss))
        self._indices.clear()

    def _stop(self, trainer: Trainer, *, loss: float) -> None:
        names = self._names(trainer)
        facts = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "loss": str(loss),
            "gradient_norm": str(float(self.grad_norm)) if self.grad_norm is not None else None,
            "samples": names,
        }
        path = self.folder / "nonfinite.json"
        if trainer.is_global_zero:
            write_json(path, facts)
        what = "The loss" if not torch.isfinite(torch.tensor(loss)) else "A gradient"
        raise NonFiniteError(
            f"{what} is not finite at step {trainer.global_step} of epoch {trainer.current_epoch} (loss {loss:g}); "
            f"stopped before the weights were updated. Images of the batch: {listed(names, limit=3)} (all in {path}). "
            "Lower optimizer.lr, or set trainer.gradient_clip_val=1; the last good checkpoint is kept."
        )

    def _names(self, trainer: Trainer) -> list[str]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        samples = data.split("train")
        return [str(samples.names[int(index)]) for indices in self._indices for index in indices]
