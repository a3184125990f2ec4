"""How much work the server takes on before it says no."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from imgrec.serve.http.refusals import Refusal

__all__ = ["Admission"]

_MAX_RETRY_S = 30.0


class Admission:
    """Counts images from the moment they are read until they are answered, and bytes of requests being read.

    max_images: more are refused with `busy` and the time after which there should be room again. One request that asks
        for more than that alone is taken when nothing else is there. max_bytes: of all requests together.
    """

    def __init__(self, *, max_images: int, max_bytes: int) -> None:
        self.images = 0
        self.bytes = 0
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._seconds_an_image = 0.05  # until something was measured

    def check(self, images: int = 1) -> None:
        """Raise Refusal `busy` if there is no room; takes nothing."""
        if self.images and self.images + images > self._max_images:
            wait = self.images * self._seconds_an_image
            raise Refusal("busy", retry_after_s=min(math.ceil(wait), _MAX_RETRY_S))

    @contextmanager
    def enter(self, images: int) -> Iterator[None]:
        """Take room for images while the block runs. Raises: Refusal `busy`."""
        self.check(images)
        self.images += images
        try:
            yield
        finally:
            self.images -= images

    def add_bytes(self, count: int) -> None:
        """Count bytes of a request being read; negative: given back. Raises: Refusal `busy`."""
        if count > 0 and self.bytes + count > self._max_bytes:
            raise Refusal("busy", retry_after_s=1)
        self.bytes += count

    def note_batch(self, images: int, seconds: float) -> None:
        """Learn from a batch how long an image takes."""
        self._seconds_an_image += 0.1 * (seconds / images - self._seconds_an_image)
