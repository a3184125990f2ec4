"""Frozen features: what enters the head of a pretrained or trained model."""

import time

import numpy as np
import torch

from imgrec.data.samples import Samples
from imgrec.models.inference import infer
from imgrec.models.network import ImageNetwork
from imgrec.studies.baselines.extract import Extracted, Progress, Transform, batches_of
from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["extract_frozen", "ms_per_image"]

BATCH_SIZE = 32
TIMED = 128  # images


def extract_frozen(
    network: ImageNetwork, samples: Samples, *, name: str, preprocess: Transform, progress: Progress | None = None
) -> Extracted:
    """Return features of all images of a split, in order: float32 (N, D) under `name`; on the GPU if there is one."""
    device = _device()
    network = network.eval().to(device)
    parts: list[FloatArray] = []
    seconds, done = 0.0, 0
    for images in batches_of(samples, preprocess=preprocess, batch_size=BATCH_SIZE):
        start = time.perf_counter()
        parts.append(infer(network, [images], device=device, with_features=True).features)
        seconds += time.perf_counter() - start
        done += len(images)
        if progress is not None:
            progress(done, len(samples))
    return Extracted({name: np.concatenate(parts)}, {name: 1000 * seconds / len(samples)})


def ms_per_image(network: torch.nn.Module, samples: Samples, *, preprocess: Transform) -> float:
    """Measure the milliseconds per preprocessed image in batches of 32, after one warm-up batch.

    Of the first 128 images of `samples`; on the GPU if there is one.
    """
    few = samples.subset(list(range(min(len(samples), TIMED))))
    batches = list(batches_of(few, preprocess=preprocess, batch_size=BATCH_SIZE))
    device = _device()
    network = network.eval().to(device)
    infer(network, batches[:1], device=device)
    start = time.perf_counter()
    infer(network, batches, device=device)
    return 1000 * (time.perf_counter() - start) / len(few)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
