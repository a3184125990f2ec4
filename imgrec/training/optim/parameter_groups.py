"""Parameter groups of an optimizer: with and without weight decay, backbone and head."""

from typing import Any

from torch import nn

from imgrec.core.config.checks import check_number
from imgrec.errors import ConfigError

__all__ = ["decays", "parameter_groups"]

# Biases, scales and embeddings of torchvision's transformers that are not one-dimensional. They shift or scale, as
# norms do, so pulling them to zero does not make the network simpler: Dosovitskiy et al. 2021 (tokens, positions),
# Liu et al. 2021 and 2022 (Swin's bias tables and scales), Liu et al. 2022 (ConvNeXt's layer scale).
NO_DECAY_NAMES = frozenset(
    {"class_token", "pos_embedding", "relative_position_bias_table", "logit_scale", "layer_scale"}
)


def parameter_groups(
    net: nn.Module,
    *,
    lr: float,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
    decay_norm_and_bias: bool = False,
) -> list[dict[str, Any]]:
    """Return the trainable parameters of `net` as groups with `name`, `params`, `lr` and `weight_decay`.

    The names are `backbone_decay`, `backbone_no_decay`, `head_decay` and `head_no_decay`; without `head_lr` only
    `decay` and `no_decay`; a single group is called `all`.

    Args:
        net: The network; `net.head_parameters` lists the names of the head's parameters.
        lr: Learning rate, above 0.
        head_lr: Learning rate of the head, above 0; None: `lr`.
        weight_decay: 0 or more; not applied where `decays` is False.
        decay_norm_and_bias: Apply weight decay to all parameters.

    Raises:
        ConfigError: A value out of range, `head_lr` for a network that does not name its head, or nothing to train.
    """
    check_rates(lr=lr, head_lr=head_lr, weight_decay=weight_decay)
    head = head_names(net) if head_lr is not None else frozenset[str]()
    split_decay = weight_decay > 0 and not decay_norm_and_bias
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = not split_decay or decays(name, parameter)
        part = [] if head_lr is None else ["head" if name in head else "backbone"]
        kind = [] if not split_decay else ["decay" if decay else "no_decay"]
        group_name = "_".join(part + kind) or "all"
        rate = head_lr if head_lr is not None and name in head else lr
        group = {"name": group_name, "params": [], "lr": rate, "weight_decay": weight_decay if decay else 0.0}
        groups.setdefault(group_name, group)["params"].append(parameter)
    if not groups:
        raise ConfigError(
            "Every parameter of the model is frozen, so there is nothing to train. Set model.freeze=null."
        )
    return list(groups.values())


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter has weight decay: not vectors (biases, norms), positions, tokens and scales."""
    return parameter.ndim > 1 and name.rpartition(".")[2] not in NO_DECAY_NAMES


def head_names(net: nn.Module) -> frozenset[str]:
    """Return the names of the head's parameters.

    Raises:
        ConfigError: The network does not name them.
    """
    names: frozenset[str] = frozenset(getattr(net, "head_parameters", ()))
    if not names:
        raise ConfigError(
            f"optimizer.head_lr is set, but {type(net).__name__} does not name the parameters of its head "
            "(head_parameters). Set optimizer.head_lr=null."
        )
    unknown = names - {name for name, _ in net.named_parameters()}
    assert not unknown, f"head_parameters that the network does not have: {sorted(unknown)}"
    return names


def check_rates(*, lr: float, head_lr: float | None, weight_decay: float) -> None:
    """Check that rates are above 0 and the decay is 0 or more.

    Raises:
        ConfigError: One is not.
    """
    check_number("optimizer.lr", lr, above=0)
    if head_lr is not None:
        check_number("optimizer.head_lr", head_lr, above=0)
    check_number("optimizer.weight_decay", weight_decay, at_least=0)
