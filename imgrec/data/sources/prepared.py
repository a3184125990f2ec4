"""Images that `imgrec prepare` has decoded and made smaller, as a source of data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.prepared.prepared_format import Manifest
from imgrec.data.prepared.prepared_images import open_prepared
from imgrec.data.samples import Samples, Splits
from imgrec.data.sources.assemble import Found, assemble, check_folder
from imgrec.errors import DataError

__all__ = ["PreparedData", "read_prepared"]


class PreparedData(ImageDataModule):
    """Images that `imgrec prepare` has made ready; see `read_prepared`."""

    def __init__(self, *, root: str, val_fraction: float = 0.1, test_fraction: float = 0.1, **loader: Any) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {"root": root, "val_fraction": val_fraction, "test_fraction": test_fraction}

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name. Raises: DataError."""
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
    """Open prepared data: the splits, names, groups and classes of the data that it was made from.

    val_fraction, test_fraction, seed, class_names: as in `assemble`; a heap is divided as its source would be.
    preprocess: what the network is to see; a note says where it would see something else than from the files.

    Images whose files could not be read are still there, and raise the same ImageError when they are asked for.
    Raises: DataError: files are missing, cut off, changed, or of another version; and as `assemble`.
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
    counts = {part: np.atleast_2d(_counts(samples, len(manifest.class_names))) for part, samples in parts.items()}
    training = next((counts[part] for part in ("all", "train") if part in counts), None)
    if training is None:
        return manifest.class_names
    used_elsewhere = np.any(np.concatenate(list(counts.values())), axis=0)
    return None if np.any(used_elsewhere & (training[0] == 0)) else manifest.class_names


def _counts(samples: Samples, num_classes: int) -> NDArray[np.int64]:
    if samples.labels.ndim == 2:
        totals: NDArray[np.int64] = samples.labels.sum(axis=0, dtype=np.int64)
        return totals
    return np.bincount(samples.labels, minlength=num_classes).astype(np.int64)


def _notes(manifest: Manifest, preprocess: Preprocess | None) -> list[str]:
    notes = []
    if manifest.num_bad:
        total = sum(manifest.counts.values())
        notes.append(f"{manifest.num_bad} of {total} images could not be read when the data was prepared.")
    return notes + _notes_on_sizes(manifest, preprocess)


def _notes_on_sizes(manifest: Manifest, preprocess: Preprocess | None) -> list[str]:
    """Say where the network sees something else than it would from the files."""
    if preprocess is None or preprocess.height_width is None:
        return []
    if preprocess.interpolation != manifest.interpolation:
        return [
            f"The data was prepared with {manifest.interpolation} interpolation, preprocess.interpolation is "
            f"{preprocess.interpolation}: pixels differ from those of the files."
        ]
    shorter = min(preprocess.height_width)
    wanted = shorter if preprocess.mode != "crop" else preprocess.resize or round(shorter / 0.875)
    if wanted > manifest.side:
        return [
            f"The data was prepared with --side {manifest.side}, but preprocess asks for a shorter side of {wanted} "
            f"px: images are made larger again. Prepare them with --side {wanted}, or set preprocess.resize lower."
        ]
    return []
