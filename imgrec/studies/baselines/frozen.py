"""Features of a network whose weights stay as they are: what enters its last layer."""

import time

import numpy as np
import torch

from imgrec.data.samples import Samples
from imgrec.models.network import ImageNetwork
from imgrec.studies.baselines.extract import Extracted, Progress, Transform, batches_of
from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["extract_frozen", "frozen_features", "ms_per_image"]

BATCH_SIZE = 32
TIMED = 128  # images


def extract_frozen(
    network: ImageNetwork, samples: Samples, *, name: str, preprocess: Transform, progress: Progress | None = None
) -> Extracted:
    """Describe all images of a split, in its order: float32 (N, D) under `name`. Uses the GPU if there is one."""
    network = network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    parts: list[FloatArray] = []
    seconds, done = 0.0, 0
    for images in batches_of(samples, preprocess=preprocess, batch_size=BATCH_SIZE):
        start = time.perf_counter()
        parts.append(frozen_features(network, images))
        seconds += time.perf_counter() - start
        done += len(images)
        if progress is not None:
            progress(done, len(samples))
    return Extracted({name: np.concatenate(parts)}, {name: 1000 * seconds / len(samples)})


def frozen_features(network: ImageNetwork, images: torch.Tensor) -> FloatArray:
    """Return what the last layer is given for images (n, 3, H, W), 0 to 255: float32 (n, D).

    Where that is a map (a last layer that is a convolution), its mean over places.
    """
    seen: list[torch.Tensor] = []
    head = network.get_submodule(sorted(network.head_parameters)[0].rpartition(".")[0])
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            network(images.to(next(network.parameters()).device))
    finally:
        handle.remove()
    features = seen[0].flatten(2).mean(dim=2) if seen[0].ndim > 2 else seen[0]
    return np.asarray(features.float().cpu())


def ms_per_image(network: torch.nn.Module, samples: Samples, *, preprocess: Transform) -> float:
    """Return the milliseconds that a network needs for an image that is ready, in batches of 32, after one to warm up.

    Of the first 128 images of `samples`. On the GPU if there is one.
    """
    few = samples.subset(list(range(min(len(samples), TIMED))))
    batches = list(batches_of(few, preprocess=preprocess, batch_size=BATCH_SIZE))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    with torch.inference_mode():
        network(batches[0].to(device)).cpu()
        start = time.perf_counter()
        for images in batches:
            network(images.to(device)).cpu()
    return 1000 * (time.perf_counter() - start) / len(few)
