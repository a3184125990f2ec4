"""From files and arrays to batches: sources hand over samples, these decode, prepare, augment and batch them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.data.augment import Augment
    from imgrec.data.batch_augment import BatchAugment
    from imgrec.data.datamodule import ImageDataModule
    from imgrec.data.image import ArrayImages, FileImages, decode_image, read_image
    from imgrec.data.preprocess import Preprocess
    from imgrec.data.samples import Samples, Splits

__all__ = [
    "ArrayImages",
    "Augment",
    "BatchAugment",
    "FileImages",
    "ImageDataModule",
    "Preprocess",
    "Samples",
    "Splits",
    "decode_image",
    "read_image",
]

_FILES = {
    "ArrayImages": "image",
    "Augment": "augment",
    "BatchAugment": "batch_augment",
    "FileImages": "image",
    "ImageDataModule": "datamodule",
    "Preprocess": "preprocess",
    "Samples": "samples",
    "Splits": "samples",
    "decode_image": "image",
    "read_image": "image",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for and no more: the data module needs Lightning, serving needs only the decoder."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
