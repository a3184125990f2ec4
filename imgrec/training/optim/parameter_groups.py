"""Which parameters decay, and which belong to the head: the groups that an optimizer is given."""

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

    Names say what a group is: `backbone_decay`, `backbone_no_decay`, `head_decay`, `head_no_decay`; a part that is not
    split is left out (`decay` and `no_decay` without `head_lr`), and a single group is called `all`.

    lr, head_lr: rates above 0; `head_lr` is for the parameters named in `net.head_parameters`, None = the same rate.
    weight_decay: 0 or more, not for norms, biases and what else `decays` leaves out unless `decay_norm_and_bias`.
    Raises: ConfigError: a value out of range, `head_lr` for a network that names no head, or nothing to train.
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
            "Every parameter of the network is frozen, so there is nothing to train. Set model.freeze=null."
        )
    return list(groups.values())


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Return whether weight decay is for this parameter: not for vectors (biases, norms), positions, tokens, scales."""
    return parameter.ndim > 1 and name.rpartition(".")[2] not in NO_DECAY_NAMES


def head_names(net: nn.Module) -> frozenset[str]:
    """Return the names of the head's parameters. Raises: ConfigError: the network does not name them."""
    names: frozenset[str] = frozenset(getattr(net, "head_parameters", ()))
    if not names:
        raise ConfigError(
            f"optimizer.head_lr is set, but {type(net).__name__} does not say which parameters are its head "
            "(head_parameters). Set optimizer.head_lr=null."
        )
    unknown = names - {name for name, _ in net.named_parameters()}
    assert not unknown, f"head_parameters that the network does not have: {sorted(unknown)}"
    return names


def check_rates(*, lr: float, head_lr: float | None, weight_decay: float) -> None:
    """Check that rates are above 0 and the decay is 0 or more. Raises: ConfigError."""
    check_number("optimizer.lr", lr, above=0)
    if head_lr is not None:
        check_number("optimizer.head_lr", head_lr, above=0)
    check_number("optimizer.weight_decay", weight_decay, at_least=0)
