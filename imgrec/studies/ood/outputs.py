"""Logits and features of the readable images of a split or a folder, as float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.readable import ReadableBatches
from imgrec.data.samples import Samples
from imgrec.errors import ImageError
from imgrec.models.inference import has_features, infer
from imgrec.studies.study import Subject

__all__ = ["ImageOutputs", "compute_outputs", "evaluated_outputs"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ImageOutputs:
    """What the model computes for N images.

    Attributes:
        places: int64 (N,), where the images stand in their samples.
        logits: (N, C).
        features: (N, D), what enters the head; None where the head of the model is not known.
        broken: What is wrong with the images that cannot be read.
    """

    places: NDArray[np.int64]
    logits: FloatArray
    features: FloatArray | None
    broken: Sequence[ImageError] = ()


def compute_outputs(subject: Subject, samples: Samples, places: NDArray[np.int64]) -> ImageOutputs:
    """Run inference on the images at `places`; unreadable ones are skipped and listed."""
    dataset = ImageDataset(samples, preprocess=subject.data.preprocess)
    batches = ReadableBatches(dataset, places.tolist(), size=subject.data.eval_batch_size)
    is_known = has_features(subject.network)
    found = infer(subject.network, batches, device=subject.device, with_features=is_known)
    return ImageOutputs(
        places=np.array(batches.read, dtype=np.int64),
        logits=found.logits.astype(np.float64),
        features=found.features.astype(np.float64) if is_known else None,
        broken=batches.broken,
    )


def evaluated_outputs(subject: Subject, places: NDArray[np.int64]) -> ImageOutputs:
    """Return outputs for the evaluated split: its logits are there already, only features need a forward pass."""
    if has_features(subject.network):
        return compute_outputs(subject, subject.data.split(subject.split), places)
    return ImageOutputs(places, subject.predictions.logits[places].astype(np.float64), features=None)
