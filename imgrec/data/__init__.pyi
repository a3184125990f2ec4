from .augment.albumentations_pipeline import Augment
from .augment.batch import BatchAugment
from .images.image import ArrayImages, FileImages, decode_image, read_image
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
