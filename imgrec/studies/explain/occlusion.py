"""Cover one part of an image after the other, and see by how much the score falls. No torch.

Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", arXiv:1311.2901, section 4.2.
"""

from collections.abc import Iterator

import numpy as np

from imgrec.studies.explain.arrays import FloatArray, Predict, UInt8Array, in_batches

__all__ = ["occlusion_map", "window_starts"]


def occlusion_map(
    image: UInt8Array,
    *,
    baseline: UInt8Array,
    predict: Predict,
    target: int,
    window_px: int,
    stride_px: int,
    batch_size: int = 32,
) -> FloatArray:
    """Return, for each pixel (H, W), the mean fall of the target's probability over the windows that cover it.

    image, baseline: (H, W, 3); a covered window shows the baseline. Positive: the part speaks for the target; negative:
    without it the network would be surer. One forward pass a window.
    """
    height, width = image.shape[:2]
    places = [(top, left) for top in window_starts(height, window_px, stride_px)
              for left in window_starts(width, window_px, stride_px)]  # fmt: skip

    def covered() -> Iterator[UInt8Array]:
        yield image
        for top, left in places:
            covered_image = image.copy()
            window = np.s_[top : top + window_px, left : left + window_px]
            covered_image[window] = baseline[window]
            yield covered_image

    scores = in_batches(covered(), predict=predict, target=target, batch_size=batch_size)
    falls, counts = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), score in zip(places, scores[1:], strict=True):
        window = np.s_[top : top + window_px, left : left + window_px]
        falls[window] += scores[0] - score
        counts[window] += 1
    return np.asarray(falls / counts)


def window_starts(side_px: int, window_px: int, stride_px: int) -> list[int]:
    """Return where windows start along a side, so that all of it is covered: the last one may stick out."""
    num_steps = max(0, -(-(side_px - window_px) // stride_px))
    return [step * stride_px for step in range(num_steps + 1)]
