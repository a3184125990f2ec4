from .augment.albumentations_pipeline import Augment
from .augment.batch import BatchAugment
from .images.collections import ArrayImages, FileImages
from .images.image import decode_image, read_image
from .images.preprocess import Preprocess
from .loading.datamodule import ImageDataModule
from .samples import Samples, Splits

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
