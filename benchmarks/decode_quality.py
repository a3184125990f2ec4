"""Claim: decoding only what is needed costs no accuracy: on hymenoptera a linear probe agrees within 1 of 153 images.

The same crops of the same JPEG files (hymenoptera) are made twice: by imgrec's fast path (scaled DCT decoding, nothing
below the crop) and by decoding the whole image. Compared are the mean absolute difference and the PSNR of the pixels
per image: the median, and the 5 % that differ most.

    train  RandomResizedCrop 224 (0.25 to 1 of the area, as augment=standard), 4 draws per image
    eval   shorter side to 256, centre crop 224 (preprocess.decode=reduced against full)

"full" is full decoding, the same crop, and Pillow's anti-aliased bilinear resize. For scale, the same figures for full
decoding and OpenCV's linear resize, which many loaders use and which is not anti-aliased.

The hymenoptera files are small, so that most are decoded at full scale. Everything is repeated with each of them
enlarged 4 times (2000x1500 px, quality 90), where most are decoded at 1/2 to 1/8. There the probe with
preprocess.decode=reduced gets 2 of 153 images fewer correct than with full, the default: measured, not claimed.

Linear probe: multinomial logistic regression (L2, C = 1) on the 1280 features of mobilenet_v2 with ImageNet weights,
of images by the eval recipe; trained on the train folder, evaluated on the 153 images of the val folder.

    python benchmarks/decode_quality.py      # 4 minutes on 2 cores; writes benchmarks/results/decode_quality.json
    python benchmarks/decode_quality.py --every 20 --output /tmp/decode_quality.json    # a short trial
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import albumentations
import cv2
import numpy as np
import simplejpeg
import torch
from machine import describe
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imgrec.data import Augment, Preprocess
from imgrec.data.images.image import decode_image
from imgrec.data.images.jpeg import decodes_as_pillow
from imgrec.data.images.lazy_image import DecodedImage, JpegImage, LazyImage, image_from_bytes
from imgrec.data.samples import UInt8Array
from imgrec.models import make_backbone

RESULTS = Path(__file__).parent / "results" / "decode_quality.json"
SIZE = 224
DRAWS = 4  # of each image, for the train recipe
ENLARGED = 4  # times a side


def main() -> None:
    """Measure both sizes of images and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--every", type=int, default=1, help="use each n-th image only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = Path(os.environ.get("IMGREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    results: dict[str, Any] = {"machine": describe(), "decoder": _decoder(), "equal_to_pillow": decodes_as_pillow()}
    for name, times in (("as_they_are", 1), ("enlarged", ENLARGED)):
        results[name] = measure(data, times=times, every=options.every)
        print(name, json.dumps(results[name], indent=1))
    options.output.write_text(json.dumps(results, indent=1) + "\n")


def measure(data: Path, *, times: int, every: int) -> dict[str, Any]:
    """Return the differences by both recipes, and the accuracy of the probe, for images enlarged `times`."""
    paths = {split: sorted((data / "hymenoptera" / split).rglob("*.jpg"))[::every] for split in ("train", "val")}
    files = {split: [_bytes(path, times) for path in paths[split]] for split in paths}
    labels = {split: [path.parent.name for path in paths[split]] for split in paths}
    images = {split: [image_from_bytes(file, name=split) for file in files[split]] for split in files}
    everything = [*images["train"], *images["val"]]
    return {
        "images": len(everything),
        "decoded_in_part": sum(isinstance(image, JpegImage) for image in everything),
        "train": _train_differences(everything),
        "eval": _eval_differences(everything),
        "probe": _probes(images, labels),
    }


def _train_differences(images: Sequence[LazyImage]) -> dict[str, Any]:
    fast = _standard_crop()
    ours, opencv = [], []
    for index, image in enumerate(images):
        whole = image.pixels()
        for epoch in range(DRAWS):
            drawn = _Drawn(image)
            result = fast.from_lazy_image(drawn, key=(0, epoch, index))
            left, top, right, bottom = drawn.box
            expected = DecodedImage(whole).window(drawn.box, size=(SIZE, SIZE))
            ours.append(_difference(result, expected))
            linear = cv2.resize(whole[top:bottom, left:right], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
            opencv.append(_difference(np.asarray(linear, dtype=np.uint8), expected))
    return {"fast": _summary(ours), "opencv_linear": _summary(opencv)}


def _eval_differences(images: Sequence[LazyImage]) -> dict[str, Any]:
    full, reduced = Preprocess(SIZE), Preprocess(SIZE, decode="reduced")
    ours, opencv, is_equal = [], [], []
    for image in images:
        whole = image.pixels()
        expected = full(whole)
        is_equal.append(np.array_equal(full.from_lazy_image(image), expected))
        ours.append(_difference(reduced.from_lazy_image(image), expected))
        opencv.append(_difference(_by_opencv(whole), expected))
    return {"reduced": _summary(ours), "opencv_linear": _summary(opencv), "full_is_bit_equal": all(is_equal)}


def _probes(images: dict[str, list[LazyImage]], labels: dict[str, list[str]]) -> dict[str, Any]:
    network = make_backbone("mobilenet_v2", num_classes=2, weights=_weights(), freeze="backbone").eval()
    found: dict[str, Any] = {}
    for decode in ("full", "reduced"):
        preprocess = Preprocess(SIZE, decode=decode)
        features = {split: _features(network, images[split], preprocess.from_lazy_image) for split in images}
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
        probe.fit(features["train"], labels["train"])
        is_correct = probe.predict(features["val"]) == np.array(labels["val"])
        accuracy = round(float(is_correct.mean()), 4)
        found[decode] = {"correct": int(is_correct.sum()), "of": len(is_correct), "accuracy": accuracy}
    return found


def _features(network: Any, images: Sequence[LazyImage], make: Callable[[LazyImage], UInt8Array]) -> Any:
    rows = []
    with torch.inference_mode():
        for start in range(0, len(images), 32):
            batch = np.stack([make(image).transpose(2, 0, 1) for image in images[start : start + 32]])
            maps = network.backbone.features(network.normalize(torch.from_numpy(batch)))
            rows.append(maps.mean(dim=(2, 3)).numpy())
    return np.concatenate(rows)


class _Drawn:
    """An image that records which crop was drawn."""

    def __init__(self, image: LazyImage) -> None:
        self.image, self.height_width = image, image.height_width
        self.box: Any = None

    def pixels(self) -> UInt8Array:
        return self.image.pixels()

    def window(self, box: Any, **options: Any) -> UInt8Array:
        self.box = box
        return self.image.window(box, **options)


def _standard_crop() -> Augment:
    crop = albumentations.RandomResizedCrop(size=(SIZE, SIZE), scale=(0.25, 1.0), area_for_downscale="image")
    return Augment([crop], after="decode", size=SIZE)


def _by_opencv(whole: UInt8Array) -> UInt8Array:
    height, width = whole.shape[:2]
    scale = 256 / min(height, width)
    size = (int(width * scale), int(height * scale))
    resized = cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
    left, top = round((size[0] - SIZE) / 2), round((size[1] - SIZE) / 2)
    return np.asarray(resized[top : top + SIZE, left : left + SIZE], dtype=np.uint8)


def _difference(first: UInt8Array, second: UInt8Array) -> tuple[float, float]:
    """Return mean absolute difference (of 255) and PSNR in dB (99 for equal images)."""
    error = first.astype(np.float64) - second
    mean_square = (error**2).mean()
    return float(np.abs(error).mean()), 99.0 if mean_square == 0 else float(10 * np.log10(255**2 / mean_square))


def _summary(differences: Sequence[tuple[float, float]]) -> dict[str, float]:
    absolute, psnr = np.array(differences).T
    return {
        "mean_abs_median": round(float(np.median(absolute)), 3),
        "mean_abs_95%": round(float(np.quantile(absolute, 0.95)), 3),
        "psnr_median_db": round(float(np.median(psnr)), 2),
        "psnr_5%_db": round(float(np.quantile(psnr, 0.05)), 2),
    }


def _bytes(path: Path, times: int) -> bytes:
    data = path.read_bytes()
    if times == 1:
        return data
    image, buffer = Image.fromarray(decode_image(data, name=str(path))), BytesIO()
    scale = times if max(image.size) <= 1000 else 1  # the few large ones are large enough
    enlarged = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    enlarged.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _weights() -> Path:
    data = Path(os.environ.get("IMGREC_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return data / "weights" / "mobilenet_v2_imagenet_fp16.pth"


def _decoder() -> str:
    return f"simplejpeg {simplejpeg.__version__}"


if __name__ == "__main__":
    main()
