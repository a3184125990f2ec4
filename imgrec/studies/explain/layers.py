"""The layer for Grad-CAM: the last one with a spatial layout, found by a forward pass and not by a table of names.

Every module's output is recorded; the last one is taken that has the layout of an image and that the logits depend on
at its places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from imgrec.errors import ConfigError

__all__ = ["FeatureLayer", "find_feature_layer", "recorded_output", "to_planes"]

MIN_SIDE = 4  # places along a side; where no layer has as many, 2 are enough

Layout = Literal["NCHW", "NHWC", "tokens", "class token + tokens"]


class FeatureLayer(NamedTuple):
    """A module by its name in `named_modules`; its output has `layout` with height x width places."""

    name: str
    layout: Layout
    height: int
    width: int


def find_feature_layer(network: nn.Module, images: Tensor) -> FeatureLayer:
    """Return the last layer whose output keeps the layout of the images and which no other path goes around.

    Layouts are (N, C, h, w); (N, h, w, C), as in Swin; tokens (N, h w, C), with or without a class token, as in ViT.
    The logits must have a gradient at some of the places (after its last attention a ViT uses the class token only),
    and must not depend on the image by another path (such as the skip connection around a residual block).

    Args:
        network: In evaluation mode.
        images: float (N, 3, H, W), 0 to 255; two noisy copies of the first are used.

    Raises:
        ConfigError: There is no such layer, or the logits do not depend on the image.
    """
    height, width = images.shape[2:]
    # Two images tell the batch from a dimension of 1; noise, because a dead ReLU would hide that a place is used.
    noise = torch.randint(-64, 65, (2, *images.shape[1:]), generator=torch.Generator().manual_seed(0))
    probe = (images[:1].detach() + noise.to(images)).clamp(0, 255).requires_grad_()
    found: list[tuple[FeatureLayer, Tensor]] = []
    with _outputs_of_all(network) as outputs, torch.enable_grad():
        logits = network(probe)
    _check_looks(logits, probe)
    for name, output in outputs:
        found += [(layer, output) for layer in _layouts(output, name=name, height=height, width=width)]
    for fine_enough in (MIN_SIDE, 2):
        for layer, output in reversed(found):
            if min(layer.height, layer.width) < fine_enough or not _is_used(logits, output, layer):
                continue
            if _is_the_only_way(network, probe, layer):
                return layer
    raise ConfigError(
        "No layer of this model keeps the layout of the image, which Grad-CAM needs. "
        "Use integrated_gradients or occlusion."
    )


def to_planes(output: Tensor, layer: FeatureLayer) -> Tensor:
    """Return an output of the layer, or a gradient of it, as (N, C, h, w)."""
    if layer.layout == "NCHW":
        return output
    if layer.layout == "NHWC":
        return output.permute(0, 3, 1, 2)
    tokens = output[:, 1:] if layer.layout == "class token + tokens" else output
    return tokens.transpose(1, 2).reshape(len(tokens), -1, layer.height, layer.width)


@contextmanager
def recorded_output(network: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Record the outputs of the module `name` inside the `with` block.

    A forward hook, followed by `torch.autograd.grad`: backward hooks fail at in-place ReLUs.
    """
    kept: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda *arguments: kept.append(arguments[-1]))
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def _outputs_of_all(network: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Record (name, output) of every module inside `network` in the order in which they finish."""
    kept: list[tuple[str, Tensor]] = []

    def keeping(name: str) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.requires_grad and len(output) == 2:
                kept.append((name, output))

        return keep

    handles = [module.register_forward_hook(keeping(name)) for name, module in network.named_modules() if name]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _layouts(output: Tensor, *, name: str, height: int, width: int) -> Iterator[FeatureLayer]:
    """Yield how the shape of an output can be read as an image of height x width px, the most likely last."""
    shape = tuple(output.shape)
    if output.ndim == 4:
        if _is_reduced(shape[1], shape[2], height=height, width=width):
            yield FeatureLayer(name, "NHWC", shape[1], shape[2])
        if _is_reduced(shape[2], shape[3], height=height, width=width):
            yield FeatureLayer(name, "NCHW", shape[2], shape[3])
    if output.ndim == 3:
        layouts: tuple[tuple[Layout, int], ...] = (("tokens", 0), ("class token + tokens", 1))
        for layout, extra in layouts:
            count = shape[1] - extra
            rows = max(1, round((count * height / width) ** 0.5))
            if count % rows == 0 and _is_reduced(rows, count // rows, height=height, width=width):
                yield FeatureLayer(name, layout, rows, count // rows)


def _is_reduced(rows: int, columns: int, *, height: int, width: int) -> bool:
    """Return whether rows x columns can be a downscaled image: the same stride in both directions, up to a place."""
    if not (1 < rows <= height and 1 < columns <= width):
        return False
    step = ((height / rows) * (width / columns)) ** 0.5
    return bool(abs(height / step - rows) < 1 and abs(width / step - columns) < 1)


def _check_looks(logits: Tensor, probe: Tensor) -> None:
    (gradient,) = torch.autograd.grad(logits.square().sum(), probe, retain_graph=True, allow_unused=True)
    if gradient is None or not bool(gradient.abs().max() > 0):
        raise ConfigError(
            "The model's output does not depend on the image: there is nothing to explain. "
            "Train it first; a ViT, for example, starts with a head of zeros."
        )


def _is_used(logits: Tensor, output: Tensor, layer: FeatureLayer) -> bool:
    """Return whether the logits depend on the output at any of its places."""
    (gradient,) = torch.autograd.grad(logits.square().sum(), output, retain_graph=True, allow_unused=True)
    if gradient is None:
        return False
    return bool((to_planes(gradient, layer) != 0).any())


def _is_the_only_way(network: nn.Module, probe: Tensor, layer: FeatureLayer) -> bool:
    """Return whether the logits no longer depend on the image when the output of the layer is detached."""
    module = network.get_submodule(layer.name)
    handle = module.register_forward_hook(lambda *arguments: arguments[-1].detach().clone())
    try:
        with torch.enable_grad():
            logits = network(probe)
    finally:
        handle.remove()
    if not logits.requires_grad:
        return True
    (gradient,) = torch.autograd.grad(logits.sum(), probe, allow_unused=True)
    return gradient is None
