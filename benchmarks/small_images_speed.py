"""Claim: images of 32 px are augmented at least 8 times as fast as albumentations does it image by image.

Each shifts by up to 4 px with mirrored edges, flips, and cuts out a square of 8 px, on one core, from an array of
images in memory to a contiguous batch uint8 (N, 3, 32, 32):

    albumentations         A.Compose([Affine, HorizontalFlip, CoarseDropout]) image by image, collated by PyTorch
    albumentations, crop   the same with PadIfNeeded and RandomCrop in place of Affine
    imgrec, sample         the same transforms in `imgrec.data.Augment`, each draw keyed by seed, epoch and image
    imgrec, batch          `imgrec.data.BatchAugment`, keyed as well; this is `augment=small_images`
    imgrec, data set       the same through imgrec's data set: by keys, with labels
    gather alone           no augmentation, to see what remains

    python benchmarks/small_images_speed.py     # writes benchmarks/results/small_images_speed.json; half a minute

Medians of interleaved rounds, in CPU time. tests/data/augment/test_batch.py checks the distribution of draws.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812 - its own documentation's name
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from machine import describe
from torch import Tensor
from torch.utils.data import default_collate

from imgrec.data import ArrayImages, Augment, BatchAugment, Preprocess, Samples
from imgrec.data.augment.batch import gather
from imgrec.data.loading.dataset import ImageDataset

SIZE, NUM_IMAGES, LIMIT = 32, 10_000, 8.0
SHIFT = [A.Affine(translate_px=(-4, 4), interpolation=cv2.INTER_NEAREST, border_mode=cv2.BORDER_REFLECT_101, p=1.0)]
CROP = [A.PadIfNeeded(SIZE + 8, SIZE + 8, border_mode=cv2.BORDER_REFLECT_101), A.RandomCrop(SIZE, SIZE)]
REST = [
    A.HorizontalFlip(p=0.5),
    A.CoarseDropout(hole_height_range=(0.25, 0.25), hole_width_range=(0.25, 0.25), fill=(124, 116, 104), p=0.5),
]

Batch = Callable[[np.ndarray[Any, np.dtype[np.int64]]], Tensor]


def by_sample(images: ArrayImages, transforms: list[Any]) -> Batch:
    pipeline = A.Compose([*transforms, ToTensorV2()])
    return lambda indices: default_collate([pipeline(image=images.array[index])["image"] for index in indices])


def keyed_by_sample(images: ArrayImages) -> Batch:
    augment = Augment([*SHIFT, *REST], size=SIZE)

    def batch(indices: Any) -> Tensor:
        planes = np.empty((len(indices), 3, SIZE, SIZE), dtype=np.uint8)
        for place, index in enumerate(indices.tolist()):
            planes[place] = augment(images[index], key=(1, 0, index)).transpose(2, 0, 1)
        return torch.from_numpy(planes)

    return batch


def planes(images: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def contenders(images: ArrayImages) -> dict[str, Batch]:
    augment = BatchAugment(shift_px=4, flip=0.5, cutout=0.5)
    samples = Samples(range(NUM_IMAGES), images, np.zeros(NUM_IMAGES, dtype=np.int64))  # type: ignore[arg-type]
    data_set = ImageDataset(samples, preprocess=Preprocess(SIZE, mode="none"), augment=augment, seed=1)

    def from_data_set(indices: Any) -> Tensor:
        batch = data_set[[(index, 0) for index in indices.tolist()]]
        if isinstance(batch, Exception):
            raise batch
        return batch["images"]

    return {
        "albumentations": by_sample(images, [*SHIFT, *REST]),
        "albumentations, crop": by_sample(images, [*CROP, *REST]),
        "imgrec, sample": keyed_by_sample(images),
        "imgrec, batch": lambda indices: planes(augment(gather(images, indices), seed=1, epoch=0, indices=indices)),
        "imgrec, data set": from_data_set,
        "gather alone": lambda indices: planes(gather(images, indices)),
    }


def images_per_s(batch: Batch, orders: list[Any]) -> float:
    """Return the rate over some batches; the last result is checked."""
    started = time.process_time()
    for order in orders:
        result = batch(order)
    seconds = time.process_time() - started
    assert result.shape == (len(orders[-1]), 3, SIZE, SIZE)
    assert result.dtype == torch.uint8
    assert result.is_contiguous()
    return sum(map(len, orders)) / seconds


def measure(batch_size: int, *, rounds: int) -> dict[str, Any]:
    """Run all in alternating order, so that a drift of the machine's speed affects all alike."""
    random = np.random.default_rng(0)
    batches = contenders(ArrayImages(random.integers(0, 256, (NUM_IMAGES, SIZE, SIZE, 3), dtype=np.uint8)))
    found: dict[str, list[float]] = {name: [] for name in batches}
    for number in range(rounds + 1):
        for name in list(batches)[:: -1 if number % 2 else 1]:
            many = 8192 if name in ("imgrec, batch", "imgrec, data set", "gather alone") else 1024
            orders = random.permutation(NUM_IMAGES)[:many].reshape(-1, batch_size)
            found[name].append(images_per_s(batches[name], list(orders)))
    return summary({name: rates[1:] for name, rates in found.items()})  # the first round warms up


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    faster = {
        other: statistics.median(a / b for a, b in zip(found["imgrec, batch"], found[other], strict=True))
        for other in ("albumentations", "albumentations, crop", "imgrec, sample")
    }
    return {
        "rounds": len(found["imgrec, batch"]),
        "images_per_s": {name: round(statistics.median(rates)) for name, rates in found.items()},
        "images_per_s_min": {name: round(min(rates)) for name, rates in found.items()},
        "images_per_s_max": {name: round(max(rates)) for name, rates in found.items()},
        "batch_is_times_as_fast_as": {name: round(value, 1) for name, value in faster.items()},
        "limit": LIMIT,
        "holds": min(faster["albumentations"], faster["albumentations, crop"]) >= LIMIT,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "small_images_speed.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    result: dict[str, Any] = {"machine": describe()}
    for batch_size in (128, 512):
        found = result[f"batch of {batch_size}"] = measure(batch_size, rounds=arguments.rounds)
        print(f"batch of {batch_size}, medians of {found['rounds']} rounds")
        for name, rate in found["images_per_s"].items():
            times = found["batch_is_times_as_fast_as"].get(name)
            print(f"  {name:22}{rate:10,} images/s" + (f"; batch is {times} times as fast" if times else ""))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
