"""What TensorBoard's projector shows: a point for each image, by what the network sees in it, with the image on it.

Written by ourselves: `SummaryWriter.add_embedding` needs torch, prints when a run is scored again, and is not durable.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.atomic_write import durable_write, write_text
from imgrec.evaluation.predictions.predictions import visible

__all__ = ["SPRITE_PX", "write_projector"]

SPRITE_PX = 32
FOLDER = "projector"
_CONFIG = """\
embeddings {{
  tensor_name: "{tag}"
  tensor_path: "{folder}/tensors.tsv"
  metadata_path: "{folder}/metadata.tsv"
  sprite {{
    image_path: "{folder}/sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def write_projector(
    log_folder: Path,
    features: NDArray[np.float32],
    images: NDArray[np.uint8],
    *,
    columns: Sequence[tuple[str, Sequence[str]]],
    tag: str,
) -> None:
    """Write N points into TensorBoard's folder of a run, in the place of those that were there.

    features: (N, D). images: uint8 (N, SPRITE_PX, SPRITE_PX, 3). columns: (title, N texts), what a point is.
    tag: letters, digits, `_` and `/`. Raises: RunFolderError.
    """
    assert len(features) == len(images) and images.shape[1:] == (SPRITE_PX, SPRITE_PX, 3)
    folder = log_folder / FOLDER
    write_text(folder / "tensors.tsv", "".join("\t".join(f"{value:.5g}" for value in row) + "\n" for row in features))
    titles = "\t".join(title for title, _ in columns)
    rows = zip(*(texts for _, texts in columns), strict=True)
    # `visible` writes tabs and line ends out.
    lines = ["\t".join(visible(text) for text in row) for row in rows]
    write_text(folder / "metadata.tsv", "\n".join([titles, *lines]) + "\n")
    _write_sprite(images, folder / "sprite.png")
    write_text(log_folder / "projector_config.pbtxt", _CONFIG.format(tag=tag, folder=FOLDER, side=SPRITE_PX))


def _write_sprite(images: NDArray[np.uint8], path: Path) -> None:
    """Write all images as one, row by row, as many a row as rows."""
    from PIL import Image

    side = int(np.ceil(np.sqrt(len(images))))
    padded = np.zeros((side * side, SPRITE_PX, SPRITE_PX, 3), dtype=np.uint8)
    padded[: len(images)] = images
    grid = padded.reshape(side, side, SPRITE_PX, SPRITE_PX, 3).transpose(0, 2, 1, 3, 4)
    with durable_write(path) as file:
        Image.fromarray(grid.reshape(side * SPRITE_PX, side * SPRITE_PX, 3)).save(file, "PNG")
