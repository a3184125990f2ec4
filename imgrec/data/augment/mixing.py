"""MixUp and CutMix on a batch; the random draws are a pure function of a key."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every reader of PyTorch expects
from torch import Tensor

from imgrec.core.config.checks import check_number
from imgrec.core.keyed_random import library_seed
from imgrec.errors import ConfigError

__all__ = ["BatchMixing"]


class BatchMixing:
    """Mix each image of a batch with its neighbour: MixUp blends the two, CutMix pastes a rectangle of the other.

    Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899; carried out by torchvision's transforms v2.
    With both on, each batch gets one of them with equal probability.

    Args:
        mixup_alpha: a of the Beta(a, a) from which the weight of the neighbour is drawn; 0: no MixUp.
        cutmix_alpha: The same for the area of the rectangle; 0: no CutMix.
        probability: Probability that a batch is mixed, 0 to 1.
        num_classes: Required if either is on.

    Raises:
        ConfigError: A value out of range, or no num_classes.
    """

    def __init__(
        self,
        *,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        probability: float = 1.0,
        num_classes: int | None = None,
    ) -> None:
        check_number("mixing.mixup_alpha", mixup_alpha, at_least=0)
        check_number("mixing.cutmix_alpha", cutmix_alpha, at_least=0)
        check_number("mixing.probability", probability, at_least=0, at_most=1)
        self.probability = probability
        self.blends = mixup_alpha > 0
        self.is_on = probability > 0 and (self.blends or cutmix_alpha > 0)
        self.num_classes = 0
        self.transforms: list[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = []
        if self.is_on:
            if num_classes is None:
                raise ConfigError("mixing.num_classes is needed to mix labels. Set it to ${data.num_classes}.")
            self.num_classes = num_classes
            self.transforms = make_transforms(mixup_alpha, cutmix_alpha, num_classes)

    def __call__(self, images: Tensor, labels: Tensor, *, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: (N, 3, H, W), uint8 or float, 0-255.
            labels: int64 (N,) class indices, or (N, C) of 0 to 1.
            key: What the draws depend on, such as (seed, epoch, step, rank). PyTorch's generators are not changed.

        Returns:
            Images (N, 3, H, W), float32 for uint8 if MixUp is on, in every batch alike, and targets float32 (N, C).
            Both unchanged if neither is on.
        """
        if not self.is_on:
            return images, labels
        if self.blends and not images.is_floating_point():
            images = images.float()
        targets = (F.one_hot(labels, self.num_classes) if labels.ndim == 1 else labels).float()
        with draws_of(key):
            if torch.rand(()) >= self.probability:
                return images, targets
            chosen = int(torch.randint(len(self.transforms), ()))
            return self.transforms[chosen](images, targets)


def make_transforms(
    mixup_alpha: float, cutmix_alpha: float, num_classes: int
) -> list[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """Return torchvision's MixUp and CutMix, those whose alpha is above 0."""
    from torchvision.transforms import v2  # slow to import, and most runs mix nothing

    mixup = [v2.MixUp(alpha=mixup_alpha, num_classes=num_classes)] if mixup_alpha > 0 else []
    cutmix = [v2.CutMix(alpha=cutmix_alpha, num_classes=num_classes)] if cutmix_alpha > 0 else []
    return [*mixup, *cutmix]


@contextmanager
def draws_of(key: tuple[int, ...]) -> Iterator[None]:
    """Seed PyTorch's CPU generator, from which torchvision draws, by `key`, and restore it at the end.

    Unlike `torch.manual_seed`, this does not change the generators of devices.
    """
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(library_seed(*key))
        yield
    finally:
        torch.set_rng_state(state)
