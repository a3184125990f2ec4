"""Early stopping that a run remembers when it is started again."""

import logging
from typing import Any

from pytorch_lightning import LightningModule, Trainer, callbacks
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

log = logging.getLogger("imgrec")


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, with its parameters; a run that it has ended trains no further when the same command comes again.

    It goes on when `patience` has been raised since. Lightning's own would train one more epoch at each start, and keep
    the patience of the checkpoint whatever the configuration says.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting as the checkpoint did, with the patience of now."""
        super().load_state_dict({**state_dict, "patience": self.patience})
        was_impatient = self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED
        if was_impatient and self.wait_count < self.patience:
            self.stopping_reason = EarlyStoppingReason.NOT_STOPPED

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once what had been ended."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say why there are fewer epochs than were asked for."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED and trainer.is_global_zero:
            log.info(
                "Stopped early after %d epochs: %s (to train on: a larger callbacks.early_stopping.patience)",
                self.stopped_epoch + 1, self._why(),
            )  # fmt: skip

    def _why(self) -> str:
        if self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
            return f"{self.monitor} has not improved on {float(self.best_score):.4f} for {self.wait_count} validations"
        return str(self.stopping_reason_message)
