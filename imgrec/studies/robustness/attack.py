"""White-box attacks on images float32 (N, 3, H, W) with values of 0 to 1: FGSM, PGD, and random noise as a control.

FGSM: Goodfellow et al. 2015, arXiv:1412.6572. PGD: Madry et al. 2018, arXiv:1706.06083. Both increase the cross entropy
of the true class within a ball around the image: every value changes by at most eps (`linf`), or the image by a
Euclidean distance of at most eps (`l2`). The accuracy that they leave is an upper bound of the accuracy in that ball.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imgrec.core.keyed_random import generator

__all__ = [
    "Attacked",
    "Norm",
    "add_noise",
    "fgsm",
    "gradient",
    "is_misclassified",
    "pgd",
    "round_to_8_bit",
    "unit_noise",
]

Norm = Literal["linf", "l2"]
Network = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) of 0 to 255 to logits (N, C)."""


@dataclass(frozen=True)
class Attacked:
    """The result of an attack.

    Attributes:
        images: (N, 3, H, W), adversarial where one was found.
        is_broken: bool (N,), whether the model misclassifies them.
    """

    images: Tensor
    is_broken: Tensor


def fgsm(
    network: Network, images: Tensor, labels: Tensor, *, norm: Norm, eps: float, rounded: bool = False
) -> Attacked:
    """Take one step of length eps along the gradient. Labels int64 (N,)."""
    return pgd(network, images, labels, norm=norm, eps=eps, steps=1, step_size=eps, starts=[None], rounded=rounded)


def pgd(
    network: Network,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    eps: float,
    steps: int,
    step_size: float,
    starts: Sequence[Tensor | None],
    rounded: bool = False,
) -> Attacked:
    """Take `steps` steps from each of `starts`, projected into the ball; stop for an image once it is misclassified.

    Every image on the way counts, not only the last: more steps of the same size, and more starts, break all that
    fewer do. An image that is misclassified from the start is returned unchanged.

    Args:
        network: Images (N, 3, H, W) of 0 to 255 to logits.
        images: Values of 0 to 1.
        labels: int64 (N,).
        norm: Of the ball.
        eps: Radius of the ball.
        steps: Per start.
        step_size: Length of a step in `norm`.
        starts: One run for each: noise from `unit_noise`, scaled by eps, or None to start from the image itself.
        rounded: Whether only images with 8-bit values count (`round_to_8_bit`).
    """
    found, is_broken = images.clone(), is_misclassified(network, images, labels)
    for start in starts:
        at = images.clone() if start is None else into_ball(images + eps * start, images, norm=norm, eps=eps)
        if start is not None:
            _keep(network, at, images, labels, found=found, is_broken=is_broken, eps=eps, norm=norm, rounded=rounded)
        for _ in range(steps):
            left = ~is_broken
            if not left.any():
                return Attacked(found, is_broken)
            direction = gradient(network, at[left], labels[left])
            at[left] = into_ball(at[left] + step_size * _unit(direction, norm), images[left], norm=norm, eps=eps)
            _keep(network, at, images, labels, found=found, is_broken=is_broken, eps=eps, norm=norm, rounded=rounded)
    return Attacked(found, is_broken)


def add_noise(
    network: Network, images: Tensor, labels: Tensor, *, norm: Norm, eps: float, draws: Sequence[Tensor], rounded: bool
) -> Attacked:
    """Add random noise of size eps: every value eps up or down (linf), or a random direction of length eps (l2)."""
    found, is_broken = images.clone(), is_misclassified(network, images, labels)
    for draw in draws:
        at = into_ball(images + eps * _unit(draw, norm), images, norm=norm, eps=eps)
        _keep(network, at, images, labels, found=found, is_broken=is_broken, eps=eps, norm=norm, rounded=rounded)
    return Attacked(found, is_broken)


def unit_noise(keys: Sequence[tuple[int, ...]], shape: tuple[int, int, int], *, norm: Norm) -> Tensor:
    """Return uniform noise in a ball of radius 1, float32 (N, 3, H, W); keys[i] seeds the noise of image i."""
    return torch.from_numpy(np.stack(list(_draws(keys, shape, norm))))


def _draws(keys: Sequence[tuple[int, ...]], shape: tuple[int, int, int], norm: Norm) -> Iterator[np.ndarray]:
    for key in keys:
        rng = generator(*key)
        if norm == "linf":
            yield (2 * rng.random(shape, dtype=np.float32) - 1).astype(np.float32)
        else:
            direction = rng.standard_normal(shape)
            radius = rng.random() ** (1 / direction.size)
            yield (direction * (radius / np.linalg.norm(direction))).astype(np.float32)


def gradient(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Return the direction in which each image's cross entropy grows, (N, 3, H, W), not normalised.

    Cross entropy is log(1 + exp(m)) with m = logsumexp of the other logits - the true one. Its gradient is that of m
    times a factor that is exactly 0 in float32 where the model is certain, so the gradient of m itself is returned.
    """
    with torch.enable_grad():
        at = images.detach().clone().requires_grad_()
        logits = network(at * 255)
        own = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -torch.inf)
        gradients: tuple[Tensor, ...] = torch.autograd.grad((others.logsumexp(dim=1) - own[:, 0]).sum(), at)
    return gradients[0]


def into_ball(at: Tensor, images: Tensor, *, norm: Norm, eps: float) -> Tensor:
    """Project `at` into the ball of radius eps around `images`, then clip to 0 to 1."""
    change = at - images
    if norm == "linf":
        change = change.clamp(-eps, eps)
    else:
        change = change * (eps / _length(change).clamp(min=1e-30)).clamp(max=1)
    return (images + change).clamp(0, 1)


def round_to_8_bit(at: Tensor, images: Tensor, *, norm: Norm, eps: float) -> Tensor:
    """Return images with 8-bit values (multiples of 1/255) that are no further from `images` than `at`.

    Changes are rounded towards 0, because rounding to the nearest could leave the ball.
    """
    change = (at - images) * 255
    if norm == "linf":
        # The tolerances keep a step of n/255 from becoming (n - 1)/255 by a floating-point error.
        whole = (change.abs() + 1e-3).floor().clamp(max=float(np.floor(eps * 255 + 1e-4)))
        change = change.sign() * whole
    else:
        change = change.trunc()
    return (((images * 255).round() + change) / 255).clamp(0, 1)


def _keep(
    network: Network,
    at: Tensor,
    images: Tensor,
    labels: Tensor,
    *,
    found: Tensor,
    is_broken: Tensor,
    norm: Norm,
    eps: float,
    rounded: bool,
) -> None:
    """Store the current images in `found` where no adversarial one has been found yet, and mark those that are."""
    left = (~is_broken).nonzero().flatten()
    if len(left):
        tried = round_to_8_bit(at[left], images[left], norm=norm, eps=eps) if rounded else at[left]
        found[left] = tried
        is_broken[left] = is_misclassified(network, tried, labels[left])


def is_misclassified(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether the predicted class differs from the label, bool (N,)."""
    with torch.no_grad():
        predicted: Tensor = network(images * 255).argmax(dim=1)
    return predicted.ne(labels)


def _unit(change: Tensor, norm: Norm) -> Tensor:
    """Return the step of length 1 in the norm that is steepest along `change`."""
    return change.sign() if norm == "linf" else change / _length(change).clamp(min=1e-30)


def _length(change: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1)
    return length.view(-1, 1, 1, 1)
