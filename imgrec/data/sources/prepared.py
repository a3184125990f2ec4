"""Data that `imgrec prepare` has written: images decoded and resized."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.prepared.prepared_format import Manifest
from imgrec.data.prepared.prepared_images import open_prepared
from imgrec.data.samples import Note, Samples, Splits, count_classes
from imgrec.data.sources.assemble import Found, assemble, check_folder
from imgrec.errors import DataError

__all__ = ["PreparedData", "read_prepared"]


class PreparedData(ImageDataModule):
    """Data module for prepared data; arguments as in `read_prepared`."""

    def __init__(self, *, root: str, val_fraction: float = 0.1, test_fraction: float = 0.1, **loader: Any) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {"root": root, "val_fraction": val_fraction, "test_fraction": test_fraction}

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        preprocess = self.preprocess if isinstance(self.preprocess, Preprocess) else None
        return read_prepared(**self.options, seed=self.seed, class_names=class_names, preprocess=preprocess)


def read_prepared(
    *,
    root: str,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Splits:
    """Open prepared data, with the splits, names, groups and classes of the data that it was made from.

    Unsplit data is split as its source would be. Images whose files could not be read are kept, and raise the same
    ImageError when they are read.

    Args:
        root: Folder that `imgrec prepare` wrote.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.
        preprocess: Preprocessing of the model; where prepared images give other pixels than the files, a note tells.

    Raises:
        DataError: Files are missing, truncated, changed, or of another version; or as in `assemble`.
    """
    folder = Path(root)
    check_folder("root", root)
    manifest = Manifest.read(folder)
    manifest.check(folder)
    parts = open_prepared(folder, manifest)
    if any(samples.labels.ndim == 1 and (samples.labels < 0).any() for samples in parts.values()):
        raise DataError(f"data.root={root} has images without a label. Train on those that have one.")
    found = Found(
        where=f"data.root={root}",
        parts=parts,
        label_names=manifest.class_names,
        class_names=_class_names(parts, manifest),
        task="multilabel" if manifest.task == "multilabel" else "single",
        notes=_notes(manifest, preprocess),
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def _class_names(parts: Mapping[str, Samples], manifest: Manifest) -> list[str] | None:
    """Return the source's class list, unless training lacks a class that others have: then training decides."""
    counts = {part: count_classes(samples.labels, len(manifest.class_names)) for part, samples in parts.items()}
    training = next((counts[part] for part in ("all", "train") if part in counts), None)
    if training is None:
        return manifest.class_names
    is_used = np.any(list(counts.values()), axis=0)
    return None if np.any(is_used & (training == 0)) else manifest.class_names


def _notes(manifest: Manifest, preprocess: Preprocess | None) -> list[Note]:
    texts = []
    if manifest.num_bad:
        total = sum(manifest.counts.values())
        texts.append(f"{manifest.num_bad} of {total} images could not be read when the data was prepared.")
    if preprocess is not None and preprocess.height_width is not None:
        texts.append(_difference(manifest, preprocess))
    return [Note("prepared", text) for text in texts if text]


def _difference(manifest: Manifest, preprocess: Preprocess) -> str:
    """Return in what way the model's input differs from that made of the files, or ""."""
    assert preprocess.height_width is not None
    if preprocess.interpolation != manifest.interpolation:
        return (
            f"The data was prepared with {manifest.interpolation} interpolation, but preprocess.interpolation is "
            f"{preprocess.interpolation}: pixels differ from those of the files."
        )
    shorter = min(preprocess.height_width)
    wanted = shorter if preprocess.mode != "crop" else preprocess.resize or round(shorter / 0.875)
    if wanted <= manifest.side:
        return ""
    return (
        f"The data was prepared with --side {manifest.side}, but preprocess needs a shorter side of {wanted} px: "
        f"images are enlarged. Prepare them with --side {wanted}, or lower preprocess.resize."
    )
