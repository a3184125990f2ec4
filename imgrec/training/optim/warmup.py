"""Length of training and warm-up, and the curves that schedules consist of."""

import math
from dataclasses import dataclass

from imgrec.core.config.checks import check_number
from imgrec.errors import ConfigError

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """Length of training and warm-up in optimizer steps, counted from 0.

    Attributes:
        total_steps: inf where training has no end.
        steps_per_epoch: Optimizer steps of an epoch.
        warmup_steps: Optimizer steps of the warm-up; 0: none.
        warmup_start: Factor of the rate at step 0 of a warm-up, above 0 and at most 1.
    """

    total_steps: float
    steps_per_epoch: float
    warmup_steps: int
    warmup_start: float

    def warmup(self, step: int) -> float:
        """Return the factor of the rate: `warmup_start` at step 0, 1 after the warm-up, linear in between."""
        return self.warmup_start + (1 - self.warmup_start) * self.rise(step)

    def rise(self, step: int) -> float:
        """Return 0 at step 0, 1 from the end of the warm-up on, linear in between."""
        return 1.0 if step >= self.warmup_steps else step / self.warmup_steps

    def fall(self, step: int) -> float:
        """Return 1 until the end of the warm-up, 0 from the last step on, half a cosine in between."""
        progress = (step - self.warmup_steps) / max(1, self.total_steps - 1 - self.warmup_steps)
        return (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2

    def check_end(self, *, name: str) -> None:
        """Check that training has an end.

        Raises:
            ConfigError: It has none.
        """
        if not math.isfinite(self.total_steps):
            raise ConfigError(
                f"scheduler={name} follows the length of training, which has no end. "
                "Set trainer.max_epochs or trainer.max_steps, or use scheduler=constant, step or plateau."
            )


def make_plan(
    *, total_steps: float, steps_per_epoch: float, warmup_epochs: float, warmup_steps: int | None, warmup_start: float
) -> Plan:
    """Return the plan of a training with its warm-up in epochs or in steps (0 or None: not in this unit).

    Raises:
        ConfigError: A value out of range, both units, or a warm-up as long as training.
    """
    assert total_steps > 0 and steps_per_epoch > 0
    check_number("scheduler.warmup_start", warmup_start, above=0, at_most=1)
    check_number("scheduler.warmup_epochs", warmup_epochs, at_least=0)
    check_number("scheduler.warmup_steps", warmup_steps or 0, at_least=0)
    if warmup_epochs and warmup_steps:
        raise ConfigError(
            f"scheduler.warmup_epochs={warmup_epochs:g} and scheduler.warmup_steps={warmup_steps} are two lengths "
            "of one warm-up. Set warmup_epochs=0 or warmup_steps=null."
        )
    warmup = round(warmup_steps or warmup_epochs * steps_per_epoch)
    if warmup >= total_steps:
        raise ConfigError(
            f"The warm-up takes {warmup} steps, but the whole training only {total_steps:g}. "
            "Shorten scheduler.warmup_epochs or scheduler.warmup_steps, or train longer."
        )
    return Plan(total_steps, steps_per_epoch, warmup, warmup_start)
