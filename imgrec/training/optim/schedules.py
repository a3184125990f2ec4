"""Learning-rate schedules: cosine, one cycle, steps, plateau and constant, each with a linear warm-up.

Every schedule but the plateau multiplies the optimizer's rate by a pure function of the step. So parameter groups keep
the ratio of their rates, a resumed run has the same rates bit for bit, and a run that is made longer follows the
schedule of its new length.
"""

import inspect
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, LRScheduler, ReduceLROnPlateau

from imgrec.core.config.checks import check_number, check_option_names
from imgrec.errors import ConfigError, did_you_mean
from imgrec.training.optim.warmup import Plan, make_plan

__all__ = ["OneCycle", "make_scheduler"]


def make_scheduler(
    optimizer: Optimizer,
    *,
    name: str,
    total_steps: float,
    steps_per_epoch: float,
    warmup_epochs: float = 0.0,
    warmup_steps: int | None = None,
    warmup_start: float = 0.01,
    **options: Any,
) -> list[dict[str, Any]]:
    """Return the schedule called `name` as Lightning takes it: dicts of scheduler, interval, frequency and monitor.

    Args:
        optimizer: Its rates are those that the schedule multiplies.
        name: cosine, one_cycle, step, plateau or constant.
        total_steps: Optimizer steps of the whole training; inf where it has no end.
        steps_per_epoch: Optimizer steps of an epoch.
        warmup_epochs: Length of the linear warm-up in epochs; 0: none.
        warmup_steps: Length of the linear warm-up in optimizer steps, in place of `warmup_epochs`.
        warmup_start: Factor of the rate at the first step of the warm-up, above 0 and at most 1.
        **options: Arguments of the function of that name.

    Raises:
        ConfigError: An unknown name or option, a value out of range, a warm-up in both units or as long as training.
    """
    if name not in SCHEDULES:
        raise ConfigError(
            f"scheduler.name={name} is not a schedule.{did_you_mean(name, SCHEDULES)} "
            f"There are: {', '.join(SCHEDULES)}."
        )
    schedule = SCHEDULES[name]
    valid = set(inspect.signature(schedule).parameters) - {"optimizer", "plan"}
    check_option_names(options, valid=valid, group="scheduler", owner=name)
    plan = make_plan(
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=warmup_epochs,
        warmup_steps=warmup_steps,
        warmup_start=warmup_start,
    )
    return schedule(optimizer, plan, **options)


def cosine(optimizer: Optimizer, plan: Plan, *, final_factor: float = 0.0) -> list[dict[str, Any]]:
    """Follow half a cosine from the rate down to `final_factor` of it. Loshchilov and Hutter 2017, eq. 5, no restart.

    The last step of training has exactly `final_factor` of the rate, and so has every step after it.
    """
    plan.check_end(name="cosine")
    return each_step(LambdaLR(optimizer, cosine_factor(plan, final_factor)))


def one_cycle(
    optimizer: Optimizer,
    plan: Plan,
    *,
    rise: float = 0.3,
    final_factor: float = 4e-6,
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
) -> list[dict[str, Any]]:
    """Rise linearly, then fall on a cosine to almost 0; momentum does the opposite. Smith and Topin 2019.

    Args:
        optimizer: The optimizer.
        plan: Its warm-up is the rise.
        rise: Share of training that the rise takes where there is no warm-up, 0 to below 1.
        final_factor: Factor of the rate at the last step.
        cycle_momentum: Whether momentum (SGD, RMSprop) or beta1 (Adam and its kin) goes from `max_momentum` to
            `base_momentum` at the highest rate and back, in place of the optimizer's value.
        base_momentum: 0 to below 1.
        max_momentum: `base_momentum` to below 1.
    """
    plan.check_end(name="one_cycle")
    check_number("scheduler.rise", rise, at_least=0, below=1)
    if plan.warmup_steps == 0:
        plan = replace(plan, warmup_steps=int(rise * plan.total_steps))
    factor = cosine_factor(plan, final_factor)
    if not cycle_momentum:
        return each_step(LambdaLR(optimizer, factor))
    check_number("scheduler.base_momentum", base_momentum, at_least=0, below=1)
    check_number("scheduler.max_momentum", max_momentum, at_least=base_momentum, below=1)

    def momentum(step: int) -> float:
        return max_momentum + (base_momentum - max_momentum) * min(plan.rise(step), plan.fall(step))

    return each_step(OneCycle(optimizer, factor, momentum))


def stepwise(
    optimizer: Optimizer,
    plan: Plan,
    *,
    step_size: float | None = None,
    milestones: Sequence[float] | None = None,
    gamma: float = 0.1,
) -> list[dict[str, Any]]:
    """Multiply the rate by `gamma` every `step_size` epochs, or at each of the epochs `milestones`.

    Epochs count from the start of training, the warm-up included.
    """
    check_number("scheduler.gamma", gamma, above=0, at_most=1)
    if (step_size is None) == (milestones is None):
        raise ConfigError(
            "Set either scheduler.step_size or scheduler.milestones (both in epochs), and the other to null."
        )
    if step_size is not None:
        check_number("scheduler.step_size", step_size, above=0)
        every = max(1, round(step_size * plan.steps_per_epoch))
        return each_step(LambdaLR(optimizer, lambda step: plan.warmup(step) * gamma ** (step // every)))
    bounds = milestone_steps(milestones or (), plan)
    return each_step(LambdaLR(optimizer, lambda step: plan.warmup(step) * gamma ** bisect_right(bounds, step)))


def plateau(
    optimizer: Optimizer,
    plan: Plan,
    *,
    monitor: str = "val/loss",
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 5,
    threshold: float = 1e-4,
    cooldown: int = 0,
    final_factor: float = 0.0,
) -> list[dict[str, Any]]:
    """Multiply the rate by `factor` when `monitor` has not improved for more than `patience` validations.

    Args:
        optimizer: The optimizer.
        plan: Only its warm-up is used.
        monitor: Name of a metric.
        mode: "min" (lower is better) or "max".
        factor: Above 0 and below 1.
        patience: Number of validations without improvement.
        threshold: Relative change that counts as an improvement.
        cooldown: Number of validations after a reduction that do not count.
        final_factor: The rate never falls below this share of the first one.
    """
    check_number("scheduler.factor", factor, above=0, below=1)
    check_number("scheduler.final_factor", final_factor, at_least=0, at_most=1)
    for key, value in (("patience", patience), ("cooldown", cooldown), ("threshold", threshold)):
        check_number(f"scheduler.{key}", value, at_least=0)
    if mode not in ("min", "max"):
        raise ConfigError(f"scheduler.mode={mode}, but it must be min (lower is better) or max.")
    watch = ReduceLROnPlateau(
        optimizer,
        mode=mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        cooldown=cooldown,
        min_lr=[final_factor * group["lr"] for group in optimizer.param_groups],
        eps=0.0,  # PyTorch's 1e-8 would keep small rates, such as a backbone's, from following the head's
    )
    on_epoch = {"scheduler": watch, "interval": "epoch", "frequency": 1, "monitor": monitor}
    if plan.warmup_steps == 0:
        return [on_epoch]
    # LinearLR multiplies the rate that it finds, so a reduction during the warm-up is kept.
    return [*each_step(LinearLR(optimizer, plan.warmup_start, total_iters=plan.warmup_steps)), on_epoch]


def constant(optimizer: Optimizer, plan: Plan) -> list[dict[str, Any]]:
    """Keep the optimizer's rate, after the warm-up."""
    return each_step(LambdaLR(optimizer, plan.warmup))


SCHEDULES: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "cosine": cosine,
    "one_cycle": one_cycle,
    "step": stepwise,
    "plateau": plateau,
    "constant": constant,
}


class OneCycle(LambdaLR):
    """A `LambdaLR` that also sets the momentum (or beta1) of every group, as a function of the step.

    `torch.optim.lr_scheduler.OneCycleLR` is not used: its rise is linear only if its fall is too, a warm-up of no step
    divides by zero, and on resume it keeps the old run's length and stops with an error at its end.

    Args:
        optimizer: With momentum or betas.
        factor: Of the rate, as a function of the step.
        momentum: As a function of the step.

    Raises:
        ConfigError: The optimizer has neither momentum nor betas.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float], momentum: Callable[[int], float]) -> None:
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ConfigError(
                f"{type(optimizer).__name__} has no momentum for scheduler=one_cycle to cycle. "
                "Set scheduler.cycle_momentum=false."
            )
        self.momentum = momentum
        super().__init__(optimizer, factor)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates of this step, and set its momentum: PyTorch calls this exactly once a step."""
        momentum = self.momentum(self.last_epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
        return super().get_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the function of momentum, which the configuration builds again."""
        return {key: value for key, value in super().state_dict().items() if key != "momentum"}


def cosine_factor(plan: Plan, final_factor: float) -> Callable[[int], float]:
    """Return the factor as a function of the step: the warm-up, then half a cosine to `final_factor`.

    Raises:
        ConfigError: `final_factor` is not from 0 to 1.
    """
    check_number("scheduler.final_factor", final_factor, at_least=0, at_most=1)

    def factor(step: int) -> float:
        if step < plan.warmup_steps:
            return plan.warmup(step)
        return final_factor + (1 - final_factor) * plan.fall(step)

    return factor


def milestone_steps(milestones: Sequence[float], plan: Plan) -> list[int]:
    """Return the steps at which these epochs begin.

    Raises:
        ConfigError: No milestones, one not above 0, or not in rising order.
    """
    for index, epoch in enumerate(milestones):
        check_number(f"scheduler.milestones[{index}]", epoch, above=0)
    epochs = list(milestones)
    if not epochs or sorted(set(epochs)) != epochs:
        raise ConfigError(f"scheduler.milestones={epochs}, but it must be a list of epochs in rising order.")
    return [round(epoch * plan.steps_per_epoch) for epoch in epochs]


def each_step(scheduler: LRScheduler) -> list[dict[str, Any]]:
    """Return `scheduler` as Lightning takes it, to be called after every optimizer step."""
    return [{"scheduler": scheduler, "interval": "step", "frequency": 1}]
