"""Claim: resize and crop inside an exported graph equal Pillow's in every value.

Random sizes of 8 to 700 px, random pixels, every mode and interpolation of `Preprocess`. In addition the time relative
to Pillow, interleaved, on one thread, for two sizes of photographs.

    python benchmarks/image_stage.py                      # writes benchmarks/results/image_stage.json; 2 minutes
    python benchmarks/image_stage.py --count 1 --rounds 1 --output /tmp/image_stage.json      # a short trial
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from machine import describe
from onnx import TensorProto, helper

from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.export.image_stage import add_image_stage

MODES: tuple[Literal["crop", "squash", "letterbox"], ...] = ("crop", "squash", "letterbox")
INTERPOLATIONS: tuple[Literal["nearest", "bilinear", "bicubic", "lanczos"], ...] = (
    "nearest",
    "bilinear",
    "bicubic",
    "lanczos",
)
PHOTOS = {"500x375": (375, 500), "4000x3000": (3000, 4000)}
SIZES: tuple[int | tuple[int, int], ...] = (32, 224, (48, 80))
SEED = 1


def stage(preprocess: Preprocess) -> Callable[[np.ndarray], np.ndarray]:
    """Return the image stage alone as a function of an image."""
    pixels = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])
    same = helper.make_tensor_value_info("logits", TensorProto.UINT8, ["N", "h", "w", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["logits"])], "g", [pixels], [same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    add_image_stage(model, preprocess)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"images": image})[0][0]


def compare(count: int) -> dict[str, Any]:
    """Return the number of images, of images that differ, and of values that differ."""
    random = np.random.default_rng(SEED)
    images = different = values = 0
    for mode, interpolation, size in product(MODES, INTERPOLATIONS, SIZES):
        preprocess = Preprocess(size=size, mode=mode, interpolation=interpolation)
        run = stage(preprocess)
        for _ in range(count):
            height, width = random.integers(8, 700, 2)
            image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            differing = int((run(image) != preprocess(image)).sum())
            images, different, values = images + 1, different + (differing > 0), values + differing
    return {"images": images, "images_that_differ": different, "values_that_differ": values}


def cost(shape: tuple[int, int], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of both, interleaved, and their ratio."""
    preprocess = Preprocess(size=224)
    run, image = stage(preprocess), np.random.default_rng(SEED).integers(0, 256, (*shape, 3), dtype=np.uint8)
    seconds: dict[str, list[float]] = {"graph": [], "pillow": []}
    for _ in range(rounds + 1):
        for name, way in (("graph", run), ("pillow", preprocess)):
            start = time.perf_counter()
            way(image)
            seconds[name].append(time.perf_counter() - start)
    graph, pillow = (1000 * statistics.median(times[1:]) for times in seconds.values())
    return {"graph_ms": graph, "pillow_ms": pillow, "ratio": graph / pillow}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--count", type=int, default=30, help="images per combination of mode, interpolation and size (36)"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "image_stage.json")
    arguments = parser.parse_args()
    costs = {name: cost(shape, arguments.rounds) for name, shape in PHOTOS.items()}
    result = {"machine": describe(), "seed": SEED, "equality": compare(arguments.count), "cost": costs}
    print(json.dumps(result, indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
