"""Classifiers of torchvision by name, with a new head, optionally on pretrained weights."""

import logging
import pickle
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torchvision import models
from torchvision.models import WeightsEnum

from imgrec.errors import ConfigError, WeightsError, did_you_mean
from imgrec.models.network import ImageNetwork, Normalize, is_frozen
from imgrec.models.stem import shrink_stem
from imgrec.models.weights import fit_tensors, load_weights

logger = logging.getLogger(__name__)

# Trained on (x / 255 - 0.5) / 0.5 (weights of TensorFlow). torchvision does this by a second normalisation inside the
# network, `transform_input`; here there is one, with these values.
INCEPTION = ("googlenet", "inception_v3")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # their extra heads for training, which are not built
TIMEOUT_S = 30.0
CLASSIFIERS = tuple(models.list_models(module=models))


def make_backbone(
    name: str,
    num_classes: int,
    *,
    weights: str | Path | None = None,
    stem: str = "standard",
    freeze: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dropout: float | None = None,
    **options: Any,
) -> ImageNetwork:
    """Build one of torchvision's 80 classifiers with a head for `num_classes`.

    Args:
        name: As in `torchvision.models.list_models()`.
        num_classes: Number of logits.
        weights: None (random), DEFAULT or another torchvision name (IMAGENET1K_V2), or a file (see `load_weights`).
        stem: `standard`, or `small` for images of 64 px and less (see `shrink_stem`).
        freeze: None, or `backbone` to train the head alone (a linear probe).
        mean: Of the pixels, 0 to 1, per channel; None: that of the weights, which for a file and for random values is
            the one that torchvision trained this architecture with.
        std: Standard deviation, likewise.
        dropout: Of the architecture's own dropout layers, 0 to 1; None: torchvision's default.
        **options: More arguments of torchvision's builder, such as `image_size` (px) of a ViT; None: its default.

    Raises:
        ConfigError: Unknown name, option or value.
        WeightsError: Weights that do not fit or are not available.
    """
    _check_arguments(name, num_classes=num_classes, stem=stem)
    frozen = is_frozen(freeze)
    published = None if weights is None else _published_weights(name, weights)
    options = {key: value for key, value in {"dropout": dropout, **options}.items() if value is not None}
    if published is not None and name.startswith("vit_"):
        options.setdefault("image_size", published.meta["min_size"][0])
    backbone = _build(name, num_classes=num_classes, options=options)
    head = _find_head(backbone, lambda: _build(name, num_classes=num_classes + 1, options=options))
    fresh_stem = shrink_stem(backbone, name) if stem == "small" else frozenset()
    trained_mean, trained_std = _normalization(name, published)
    network = ImageNetwork(
        Normalize(trained_mean if mean is None else mean, trained_std if std is None else std),
        backbone,
        head_parameters=frozenset(f"backbone.{parameter}" for parameter in head),
        frozen=frozen,
    )
    unused = AUXILIARY if name in INCEPTION else ()
    if published is not None:
        fit_tensors(network, _download(published), source=repr(published), stem=fresh_stem, unused=unused)
    elif weights is not None:
        keep = mean is not None or std is not None
        load_weights(network, weights, stem=fresh_stem, unused=unused, keep_normalization=keep)
    if network.loaded is not None and not fresh_stem.isdisjoint(network.loaded.fresh):
        _announce_stem(fresh_stem, frozen=frozen)
    return network


def _check_arguments(name: str, *, num_classes: int, stem: str) -> None:
    if name not in CLASSIFIERS:
        raise ConfigError(_unknown_name(name))
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ConfigError(f"model.num_classes={num_classes!r}, but it must be a whole number, 1 or more.")
    if stem not in ("standard", "small"):
        raise ConfigError(f"model.stem={stem!r}: use standard, or small (for images of 64 px and less).")


def _unknown_name(name: str) -> str:
    inside = sorted((known for known in CLASSIFIERS if known in name.lower()), key=len)[-1:]
    near = f" Did you mean {inside[0]!r}?" if inside else did_you_mean(name.lower(), CLASSIFIERS)
    if name in models.list_models():
        kind = models.get_model_builder(name).__module__.split(".")[2]  # torchvision.models.<kind>.<file>
        return f"model.name={name} is for {kind.replace('_', ' ')}, not one of torchvision's 80 classifiers.{near}"
    return f"torchvision has no classifier {name!r}.{near or ' See torchvision.models.list_models().'}"


def _build(name: str, *, num_classes: int, options: dict[str, Any]) -> nn.Module:
    # Auxiliary heads would make the output a tuple. `init_weights=True` is as in the papers and torchvision's default,
    # with a warning that it costs time (0.1 s today).
    fixed = {"aux_logits": False, "transform_input": False, "init_weights": True} if name in INCEPTION else {}
    try:
        backbone: nn.Module = models.get_model(name, num_classes=num_classes, **fixed, **options)
    except (TypeError, ValueError, AssertionError) as error:
        if not options:
            raise
        raise ConfigError(_explain(error, name=name, options=options)) from error
    return backbone


def _explain(error: Exception, *, name: str, options: Mapping[str, Any]) -> str:
    """Explain an error of torchvision about an option, in terms of the configuration."""
    if found := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        known = signature(type(_build(name, num_classes=1, options={}))).parameters
        return f"{name} has no option model.{found[1]}.{did_you_mean(found[1], known)} Remove it, or set it to null."
    if found := re.search(r"multiple values for keyword argument '(\w+)'", str(error)):
        return f"model.{found[1]} is fixed for {name}. Remove it."
    given = ", ".join(f"model.{key}={value}" for key, value in options.items())
    return f"{name} cannot be built with {given}: {str(error).rstrip('.!')}."


def _find_head(backbone: nn.Module, build_wider: Callable[[], nn.Module]) -> list[str]:
    """Return the parameters whose shape depends on the number of classes: those that differ with one class more.

    The second network costs no memory and little time (0.02 s for resnet50), because each of its parameters is moved
    to the meta device as it is registered. (Not by `torch.device("meta")`: RegNet computes its widths with tensors.)
    """
    handle = register_module_parameter_registration_hook(_without_data)  # type: ignore[arg-type]
    try:
        with torch.random.fork_rng(devices=[]):  # the second network must not change the random state
            wider = dict(build_wider().named_parameters())
    finally:
        handle.remove()
    return [name for name, parameter in backbone.named_parameters() if parameter.shape != wider[name].shape]


def _without_data(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
    return None if parameter is None else nn.Parameter(parameter.detach().to("meta"), requires_grad=False)


def _published_weights(name: str, weights: str | Path) -> WeightsEnum | None:
    """Return torchvision's entry for `weights`, or None where it is the path of a file.

    Raises:
        WeightsError: Neither.
    """
    known = models.get_model_weights(name)
    key = str(weights).removeprefix(f"{known.__name__}.")
    if key in known.__members__:
        entry = known[key]
        if entry.meta["categories"] is None:
            raise WeightsError(f"{entry!r} has no classification head. Use model.weights=DEFAULT.")
        return entry
    path = Path(weights)
    if path.exists() or len(path.parts) > 1 or path.suffix in (".pth", ".pt", ".th", ".ckpt", ".bin", ".safetensors"):
        return None
    raise WeightsError(
        f"{name} has no weights {str(weights)!r}.{did_you_mean(key, known.__members__)} "
        f"It has {', '.join(known.__members__)}; or give the path of a file."
    )


def _normalization(name: str, published: WeightsEnum | None) -> tuple[Sequence[float], Sequence[float]]:
    if name in INCEPTION:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    entry = published or models.get_model_weights(name)["DEFAULT"]
    transforms = entry.transforms()
    return transforms.mean, transforms.std


def _announce_stem(fresh_stem: frozenset[str], *, frozen: bool) -> None:
    names = ", ".join(sorted(fresh_stem))
    if frozen:
        raise ConfigError(
            f"model.stem=small replaces {names}, whose random values model.freeze=backbone would keep. "
            "Use model.stem=standard, or model.freeze=null."
        )
    logger.warning("model.stem=small: %s start from random values; the rest from the weights.", names)


def _download(published: WeightsEnum) -> Mapping[str, Tensor]:
    """Download torchvision's weights, or read them from the cache in $TORCH_HOME.

    Raises:
        WeightsError: They cannot be downloaded, or are damaged.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)  # torch.hub sets none: without a connection it would hang for minutes
    try:
        tensors: dict[str, Tensor] = published.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"Could not download {published!r} ({getattr(error, 'reason', error)}). Put the file on this machine and "
            "set model.weights=PATH, or train from random values with model.weights=null."
        ) from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{published!r} is damaged, in the download or in {torch.hub.get_dir()}/checkpoints. "
            "Delete it there and try again, or set model.weights=PATH."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return tensors
