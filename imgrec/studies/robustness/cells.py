"""Predictions for every image in every corruption and severity, decoding each image once."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from imgrec.core.system.hardware import num_processors
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.loader import make_loader
from imgrec.data.loading.workers import MAX_WORKERS
from imgrec.errors import ImgrecError
from imgrec.models.inference import infer
from imgrec.studies.robustness.corruption import Corruption, corrupt

__all__ = ["Cell", "predict_cells"]

Cell = tuple[Corruption, int]
"""A corruption and its severity."""

Key = tuple[Sequence[int], int]


class _CellBatch(TypedDict):
    images: Tensor
    places: Tensor
    cell: int


class _CellBatches(Dataset[Any]):
    """Batches of corrupted images by (places in the data set, cell); keeps the last images that were decoded."""

    def __init__(self, dataset: ImageDataset, cells: Sequence[Cell], *, keys: Sequence[int], seed: int) -> None:
        self.dataset = dataset
        self.cells = cells
        self.keys = keys
        self.seed = seed
        self._last: tuple[Sequence[int], NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> _CellBatch | ImgrecError:
        """Return one batch in one cell, or an error (see `ImageDataset`)."""
        places, cell = key
        if self._last is None or self._last[0] != places:
            batch = self.dataset[[(place, 0) for place in places]]
            if isinstance(batch, ImgrecError):
                return batch
            self._last = places, np.ascontiguousarray(batch["images"].permute(0, 2, 3, 1).numpy())
        corruption, severity = self.cells[cell]
        made = [
            corrupt(image, corruption, severity, seed=self.seed, index=self.keys[place])
            for place, image in zip(places, self._last[1], strict=True)
        ]
        images = torch.from_numpy(np.stack(made).transpose(0, 3, 1, 2).copy())
        return _CellBatch(images=images, places=torch.tensor(places), cell=cell)


def predict_cells(
    network: nn.Module,
    dataset: ImageDataset,
    cells: Sequence[Cell],
    *,
    keys: Sequence[int],
    seed: int,
    device: torch.device,
    batch_size: int,
    num_workers: int | None,
    timeout_s: float,
    multilabel: bool,
) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return the predictions for N images in K cells.

    Args:
        network: In evaluation mode, on `device`.
        dataset: The preprocessed images.
        cells: Corruptions with their severities.
        keys: Places of the images in the whole split; with `seed` they seed the corruptions.
        seed: Of the corruptions.
        device: Where the network is.
        batch_size: Images per forward pass.
        num_workers: Processes that decode and corrupt; None for one per processor.
        timeout_s: How long to wait for a batch.
        multilabel: Whether images have several labels.

    Returns:
        int64 (K, N), class indices; with several labels uint8 (K, N, C), 0 or 1.

    Raises:
        ImageError: An image cannot be read.
    """
    workers = min(num_processors(), MAX_WORKERS) if num_workers is None else num_workers
    batches = _CellBatches(dataset, cells, keys=keys, seed=seed)
    order = list(_interleaved(len(dataset), num_cells=len(cells), batch_size=batch_size, workers=max(1, workers)))
    loader = make_loader(cast(Any, batches), cast(Any, order), num_workers=workers, timeout_s=timeout_s)
    progress = ProgressLine(sys.stderr)
    predicted: NDArray[Any] | None = None
    done = 0
    try:
        for batch in cast("Iterator[_CellBatch | ImgrecError]", iter(loader)):
            if isinstance(batch, ImgrecError):
                raise batch
            logits = infer(network, [batch["images"]], device=device).logits
            found = (logits > 0).astype(np.uint8) if multilabel else logits.argmax(axis=1)
            if predicted is None:
                predicted = np.empty((len(cells), len(dataset), *found.shape[1:]), dtype=found.dtype)
            predicted[batch["cell"], batch["places"].numpy()] = found
            done += len(found)
            progress.update(done, len(dataset) * len(cells))
    finally:
        progress.close()
        loader.end_workers()
    assert predicted is not None
    return predicted


def _interleaved(num_images: int, *, num_cells: int, batch_size: int, workers: int) -> Iterator[Key]:
    """Yield all batches in all cells, ordered so that each worker gets one batch in all cells before its next batch.

    The loader hands batches to workers in turn; a worker decodes a batch once and corrupts it from memory.
    """
    batches = [tuple(range(first, min(first + batch_size, num_images))) for first in range(0, num_images, batch_size)]
    for first in range(0, len(batches), workers):
        for cell in range(num_cells):
            for batch in batches[first : first + workers]:
                yield batch, cell
