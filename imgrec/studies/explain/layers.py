"""Find the layer whose activations still say where on the image something is: the last one before all is averaged.

By trying, not by a table of names: an image goes through the network, each output of a module is looked at, and the
last one is taken that has the layout of an image and from which the logits are computed place by place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from imgrec.errors import ConfigError

__all__ = ["FeatureLayer", "find_feature_layer", "recorded_output", "to_planes"]

MIN_SIDE = 4  # cells of a map; where no layer has as many, the finest one is taken

Layout = Literal["NCHW", "NHWC", "tokens", "class token + tokens"]


class FeatureLayer(NamedTuple):
    """name: of the module, as in `named_modules`. Its output has `layout`, of height x width places."""

    name: str
    layout: Layout
    height: int
    width: int


def find_feature_layer(network: nn.Module, images: Tensor) -> FeatureLayer:
    """Return the last layer whose output keeps the layout of the images and which nothing goes around.

    images: float (N, 3, H, W), 0 to 255, of which two noisy copies of the first are looked at.
    Layouts: (N, C, h, w); (N, h, w, C), as in Swin; tokens (N, h w, C), with or without a class token first, as in ViT.
    A layer counts only if the logits have a gradient at some of its places (after its last attention a ViT looks at the
    class token alone), and if they learn of the image by no other way (as around the inside of a residual block).
    Raises: ConfigError: no layer is such; or the network looks at nothing.
    """
    height, width = images.shape[2:]
    # Two images tell the batch from a dimension of one; noise, as a dead ReLU would hide that a place is used.
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
        "No layer of this network keeps the layout of the image, which Grad-CAM needs. "
        "Use integrated_gradients or occlusion, which look at the image alone."
    )


def to_planes(output: Tensor, layer: FeatureLayer) -> Tensor:
    """Return an output of the layer, or its gradient, as (N, C, h, w)."""
    if layer.layout == "NCHW":
        return output
    if layer.layout == "NHWC":
        return output.permute(0, 3, 1, 2)
    tokens = output[:, 1:] if layer.layout == "class token + tokens" else output
    return tokens.transpose(1, 2).reshape(len(tokens), -1, layer.height, layer.width)


@contextmanager
def recorded_output(network: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Keep what the module `name` returns while the block lasts, each call's output after the other.

    A forward hook and `torch.autograd.grad` afterwards: backward hooks fail at ReLUs that work in place, and would have
    us change the user's network.
    """
    kept: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda *arguments: kept.append(arguments[-1]))
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def _outputs_of_all(network: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Keep (name, output) of every module inside `network` in the order in which they finish."""
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
    """Yield how the shape of an output can be read as an image of height x width px, the likeliest last."""
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
    """Return whether rows x columns places can be a reduced image: the same step both ways, to a place or so."""
    if not (1 < rows <= height and 1 < columns <= width):
        return False
    step = ((height / rows) * (width / columns)) ** 0.5
    return bool(abs(height / step - rows) < 1 and abs(width / step - columns) < 1)


def _check_looks(logits: Tensor, probe: Tensor) -> None:
    (gradient,) = torch.autograd.grad(logits.square().sum(), probe, retain_graph=True, allow_unused=True)
    if gradient is None or not bool(gradient.abs().max() > 0):
        raise ConfigError(
            "The network's output does not depend on the image: there is nothing to explain. "
            "Train it first; a ViT, for one, starts with a head of zeros."
        )


def _is_used(logits: Tensor, output: Tensor, layer: FeatureLayer) -> bool:
    """Return whether the logits depend on the output at any of its places."""
    (gradient,) = torch.autograd.grad(logits.square().sum(), output, retain_graph=True, allow_unused=True)
    if gradient is None:
        return False
    return bool((to_planes(gradient, layer) != 0).any())


def _is_the_only_way(network: nn.Module, probe: Tensor, layer: FeatureLayer) -> bool:
    """Return whether the logits lose the image where the layer's output is cut off from it."""
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
