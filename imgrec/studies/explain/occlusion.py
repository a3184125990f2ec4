"""Occlusion maps: the drop of a class probability as each part of the image is covered. No torch.

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
    """Return for each pixel the mean drop of the target's probability over the windows that cover it.

    Args:
        image: (H, W, 3).
        baseline: (H, W, 3), what a covered window shows.
        predict: The model. It is run on one image per window.
        target: Index of the class.
        window_px: Side of the window.
        stride_px: Step of the window.
        batch_size: Images per call of `predict`.

    Returns:
        float64 (H, W), positive where the part is evidence for the class, negative where it is evidence against it.
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
    drops, counts = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), score in zip(places, scores[1:], strict=True):
        window = np.s_[top : top + window_px, left : left + window_px]
        drops[window] += scores[0] - score
        counts[window] += 1
    return np.asarray(drops / counts)


def window_starts(side_px: int, window_px: int, stride_px: int) -> list[int]:
    """Return where windows start along a side so that all of it is covered; the last may reach over the border."""
    num_steps = max(0, -(-(side_px - window_px) // stride_px))
    return [step * stride_px for step in range(num_steps + 1)]
