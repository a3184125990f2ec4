"""Features of a pretrained torchvision model: the input of its last layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgrec.auditing.labels.features import FloatArray, IntArray, read_small, reduce_features
from imgrec.data.samples import Images, UInt8Array
from imgrec.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from imgrec.models import ImageNetwork

__all__ = ["backbone_features", "weights_at_hand"]

SIDE_PX = 224
BATCH_SIZE = 32


def weights_at_hand(name: str) -> bool:
    """Return whether torchvision's default weights of a model are in torch's cache.

    Raises:
        ConfigError: torchvision has no classifier of this name.
    """
    import torch
    from torchvision.models import get_model_weights

    from imgrec.models.backbone import CLASSIFIERS

    if name not in CLASSIFIERS:
        raise ConfigError(f"torchvision has no classifier {name!r}.{did_you_mean(name, CLASSIFIERS)}")
    url: str = get_model_weights(name)["DEFAULT"].url
    return Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2]).is_file()


def backbone_features(
    images: Images, indices: Sequence[int] | IntArray, *, name: str, weights: str | Path, seed: int
) -> FloatArray:
    """Return features of the images at `indices` (n,), resized to 224 x 224: the input of the model's last layer.

    Args:
        images: The images.
        indices: Which of them.
        name: A torchvision model.
        weights: A file, or "DEFAULT".
        seed: Of the sample that the principal components are computed from.

    Returns:
        float32 (n, d), d at most 128: principal components.

    Raises:
        ConfigError: torchvision has no such model.
        WeightsError: The weights cannot be loaded.
        ImageError: An image cannot be decoded.
    """
    from imgrec.models import make_backbone

    network = make_backbone(name, num_classes=2, weights=weights).eval()
    places = np.asarray(indices, dtype=np.int64)

    def describe(rows: IntArray) -> FloatArray:
        batches = [places[rows[start : start + BATCH_SIZE]] for start in range(0, len(rows), BATCH_SIZE)]
        return np.concatenate([_pooled(network, read_small(images, batch, side_px=SIDE_PX)) for batch in batches])

    return reduce_features(describe, len(places), seed=seed)


def _pooled(network: "ImageNetwork", images: UInt8Array) -> FloatArray:
    """Return the pooled input of the head, (n, D), for images uint8 (n, H, W, 3)."""
    import torch

    from imgrec.models.inference import infer

    return infer(network, [torch.from_numpy(images).permute(0, 3, 1, 2)], with_features=True).features
