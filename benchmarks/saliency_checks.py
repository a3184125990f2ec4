"""Claim: on hymenoptera an edge detector is graded "bad" on every image, and saliency methods on fewer than half.

Maps of the mobilenet_v2 probe for its predicted class, on images evenly spread over the validation set. An edge
detector does not depend on the model (Adebayo et al. 2018) and must fail the sanity check each time. Grad-CAM,
integrated gradients and occlusion must be "bad" on fewer than half of the images; how many of their maps pass every
check is reported, not claimed. For each method: the share of maps better than each of nine random orders in deletion
and in insertion, the share that changes when the weights are randomised, the grades, and mean gains.

    python train.py experiment=hymenoptera_linear_probe        # makes the checkpoint
    python benchmarks/saliency_checks.py --checkpoint best.ckpt --data ../shared/data   # results/saliency_checks.json
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from torch import nn

from imgrec.data.images.image import read_image
from imgrec.evaluation.restore import load_classifier
from imgrec.studies.explain import Examiner, GradCam, IntegratedGradients, Occlusion
from imgrec.studies.explain.arrays import UInt8Array
from imgrec.studies.explain.methods import Method, SaliencyMap
from imgrec.studies.explain.record import Shown, image_record, summary_of


class Edges:
    """A method that cannot explain anything, as it ignores the network (Adebayo et al. 2018)."""

    name = "edges"

    def __call__(self, network: nn.Module, image: UInt8Array, **options: Any) -> SaliencyMap:
        del network, options
        grey = image.astype(float).mean(axis=2)
        return SaliencyMap(np.abs(np.diff(grey, axis=0, prepend=0)) + np.abs(np.diff(grey, axis=1, prepend=0)), {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with hymenoptera")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "saliency_checks.json")
    arguments = parser.parse_args()
    network, preprocess, info = load_classifier(arguments.checkpoint)
    methods: list[Method] = [GradCam(), IntegratedGradients(), Occlusion(), Edges()]
    examiner = Examiner(network, methods=methods, seed=arguments.seed)
    paths = sorted((arguments.data / "hymenoptera" / "val").glob("*/*.jpg"))
    chosen = [paths[int(place * len(paths) / arguments.images)] for place in range(arguments.images)]
    rows, started = [], time.perf_counter()
    for path in chosen:
        image = preprocess(read_image(path))
        probabilities = examiner.predict(image[None])[0]
        target = int(probabilities.argmax())
        name = info.class_names[target]
        shown = Shown(path.name, path.parent.name, name, float(probabilities[target]), name)
        found = examiner(image, target=target)
        rows += [image_record(one, shown, png="") for one in found]
        print(path.name, {one.method: one.verdict.grade for one in found}, flush=True)
    results = {one.name: summary_of([row for row in rows if row["method"] == one.name]) for one in methods}
    bad = [results[one.name]["bad"] for one in methods if one.name != Edges.name]
    residuals = [row["completeness_residual"] for row in rows if row["completeness_residual"] is not None]
    result = {
        "machine": describe(),
        "seed": arguments.seed,
        "images": len(chosen),
        "correct": sum(row["label"] == row["prediction"] for row in rows) // len(methods),
        "holds": results[Edges.name]["bad"] == len(chosen) and max(bad) < len(chosen) / 2,
        "seconds_per_image": round((time.perf_counter() - started) / len(chosen), 1),
        "median_completeness_residual": round(float(np.median(residuals)), 4),
        "results": results,
    }
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
