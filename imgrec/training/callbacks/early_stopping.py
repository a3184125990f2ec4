"""Early stopping whose state is kept when a run resumes."""

import logging
from typing import Any

from pytorch_lightning import LightningModule, Trainer, callbacks
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

log = logging.getLogger("imgrec")


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's early stopping, with its arguments, for runs that resume.

    A run that was stopped early stays stopped when it is started again, unless `patience` was raised. Lightning's
    class would train one more epoch at each start, and use the patience of the checkpoint.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count of the checkpoint, with the patience of the configuration."""
        super().load_state_dict({**state_dict, "patience": self.patience})
        was_impatient = self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED
        if was_impatient and self.wait_count < self.patience:
            self.stopping_reason = EarlyStoppingReason.NOT_STOPPED

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop a run that was stopped before."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log why the run has fewer epochs than `max_epochs`."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED and trainer.is_global_zero:
            log.info(
                "Stopped early after %d epochs: %s (to continue: a larger callbacks.early_stopping.patience)",
                self.stopped_epoch + 1, self._why(),
            )  # fmt: skip

    def _why(self) -> str:
        if self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
            return f"{self.monitor} has not improved on {float(self.best_score):.4f} for {self.wait_count} validations"
        return str(self.stopping_reason_message)
