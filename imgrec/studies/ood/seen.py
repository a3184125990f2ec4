"""What a network says and sees in the images of a data set, those that cannot be read left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError
from imgrec.models.features import features_and_logits
from imgrec.models.network import ImageNetwork

__all__ = ["Seen", "see"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Of N images their places in the data set, logits (N, C), features (N, D) or None; of others what is wrong."""

    places: NDArray[np.int64]
    logits: FloatArray
    features: FloatArray | None
    broken: Sequence[ImageError]


def see(
    network: nn.Module, dataset: ImageDataset, places: NDArray[np.int64], *, device: torch.device, batch_size: int
) -> Seen:
    """Run the network over the images at `places`.

    network: in evaluation mode, on `device`. Features are those that enter the head of an `ImageNetwork`; another
    network has none. An image that cannot be read is left out and told of.
    """
    broken: list[ImageError] = []
    found, logits, features = [], [], []
    for images, batch in _batches(dataset, places, size=batch_size, broken=broken):
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(device)
        if isinstance(network, ImageNetwork):
            seen, said = features_and_logits(network, pixels)
            features.append(seen.cpu().numpy())
        else:
            with torch.inference_mode():
                said = network(pixels)
        logits.append(said.cpu().numpy())
        found += batch
    return Seen(
        places=np.array(found, dtype=np.int64),
        logits=np.concatenate(logits).astype(np.float64) if logits else np.empty((0, 0)),
        features=np.concatenate(features).astype(np.float64) if features else None,
        broken=broken,
    )


def _batches(
    dataset: ImageDataset, places: NDArray[np.int64], *, size: int, broken: list[ImageError]
) -> Iterator[tuple[UInt8Array, list[int]]]:
    """Yield images (n, H, W, 3) of one size, and their places; the sizes of neighbours may differ."""
    images: list[UInt8Array] = []
    batch: list[int] = []
    for place in places:
        try:
            image = dataset.image(int(place), 0)
        except ImageError as error:
            broken.append(error)
            continue
        if images and (len(images) == size or image.shape != images[0].shape):
            yield np.stack(images), batch
            images, batch = [], []
        images.append(image)
        batch.append(int(place))
    if images:
        yield np.stack(images), batch
