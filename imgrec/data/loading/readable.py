"""Batches of those images of a data set that can be read, whatever their sizes."""

from collections.abc import Iterator, Sequence

import numpy as np

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError

__all__ = ["ReadableBatches"]


class ReadableBatches:
    """Batches uint8 (n, H, W, 3) of the images at `places`; an unreadable image is skipped and listed.

    Args:
        dataset: The images, preprocessed.
        places: Which of them, in this order.
        size: Images per batch at most.
        max_pixels: Pixels per batch at most, but never less than an image; None for no limit.

    Attributes:
        read: Places of the images that came so far.
        broken: What is wrong with the others.
    """

    def __init__(
        self, dataset: ImageDataset, places: Sequence[int], *, size: int, max_pixels: int | None = None
    ) -> None:
        self.dataset = dataset
        self.places = places
        self.size = size
        self.max_pixels = max_pixels
        self.read: list[int] = []
        self.broken: list[ImageError] = []

    def __iter__(self) -> Iterator[UInt8Array]:
        """Yield the batches; all images of one have the same size."""
        images: list[UInt8Array] = []
        for place in self.places:
            try:
                image = self.dataset.image(place, 0)
            except ImageError as error:
                self.broken.append(error)
                continue
            if images and (self._is_full(images) or image.shape != images[0].shape):
                yield np.stack(images)
                images = []
            images.append(image)
            self.read.append(place)
        if images:
            yield np.stack(images)

    def _is_full(self, images: Sequence[UInt8Array]) -> bool:
        pixels = (len(images) + 1) * images[0].shape[0] * images[0].shape[1]
        return len(images) >= self.size or (self.max_pixels is not None and pixels > self.max_pixels)
