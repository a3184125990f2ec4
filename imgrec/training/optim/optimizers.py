"""Any optimizer of torch.optim by its name, over the parameter groups of a network."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from imgrec.core.config.checks import check_option_names
from imgrec.errors import ConfigError, did_you_mean
from imgrec.training.optim.parameter_groups import parameter_groups

__all__ = ["make_optimizer"]

# LBFGS evaluates the loss several times per step, SparseAdam needs sparse gradients.
UNFIT = frozenset({"LBFGS", "SparseAdam"})
# Adagrad has a fused kernel too, but not for every device.
FUSED = frozenset({"SGD", "Adam", "AdamW"})


def make_optimizer(
    net: nn.Module,
    *,
    name: str,
    lr: float,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
    decay_norm_and_bias: bool = False,
    **options: Any,
) -> Optimizer:
    """Return the optimizer `torch.optim.<name>` for the trainable parameters of `net`.

    Args:
        net: The network, on its device.
        name: Of a class of `torch.optim`.
        lr: As in `parameter_groups`.
        head_lr: As in `parameter_groups`.
        weight_decay: As in `parameter_groups`.
        decay_norm_and_bias: As in `parameter_groups`.
        **options: Arguments of the class (momentum, betas, eps ...). `fused`, one kernel for the whole step, is True by
            default for SGD, Adam and AdamW on a CPU or CUDA device.

    Raises:
        ConfigError: An unknown name or option, a value that the class refuses, or as `parameter_groups`.
    """
    optimizer_class = find_optimizer(name)
    keywords = set(inspect.signature(optimizer_class).parameters) - {"params"}
    check_option_names(options, valid=keywords - {"lr", "weight_decay"}, group="optimizer", owner=name)
    if weight_decay and "weight_decay" not in keywords:
        raise ConfigError(f"{name} has no weight decay, but optimizer.weight_decay={weight_decay}. Set it to 0.")
    groups = parameter_groups(
        net, lr=lr, head_lr=head_lr, weight_decay=weight_decay, decay_norm_and_bias=decay_norm_and_bias
    )
    if can_fuse(name, groups, options):
        options = {"fused": True, **options}
    try:
        optimizer = optimizer_class(groups, lr=lr, **{key: plain(value) for key, value in options.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"torch.optim.{name} refuses its options: {error}") from error
    # A fused step would unscale 16-bit gradients itself, and they could not be clipped or checked before it (Lightning
    # refuses to clip at all). So they are unscaled first, for every optimizer alike.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def find_optimizer(name: str) -> Callable[..., Optimizer]:
    """Return the class of torch.optim called `name`.

    Raises:
        ConfigError: There is none; the message has the nearest names.
    """
    found = {
        key: value
        for key, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer and key not in UNFIT
    }
    if name not in found:
        raise ConfigError(
            f"optimizer.name={name} is not an optimizer of PyTorch.{did_you_mean(name, found)} "
            f"There are: {', '.join(sorted(found))}."
        )
    return found[name]


def can_fuse(name: str, groups: Sequence[dict[str, Any]], options: dict[str, Any]) -> bool:
    """Return whether the fused kernel supports these parameters and `options`."""
    if name not in FUSED or options.get("foreach") or options.get("differentiable"):
        return False
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)


def plain(value: Any) -> Any:
    """Return lists of the configuration as tuples: a checkpoint holds plain Python values only."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
