"""Claim: on all of Fashion-MNIST, HOG and a support vector machine reach an accuracy of 0.916 (published: 0.926).

The publication does not say which kernel: a linear and a Gaussian one are fitted, and the better one counts. Settings
are chosen without the test set: those of HOG on validation with 3,000 training images ("settings" in the result), C on
validation with 20,000. Then the SVM is fitted to the 55,002 images that experiment=fashion_mnist_small_cnn trains on,
and evaluated on the 10,000 test images. Exits with 1 if the claim does not hold.

    python benchmarks/classical_baselines.py --data ../shared/data    # results/classical_baselines.json
    python benchmarks/classical_baselines.py --data ../shared/data --max-train 2000 --output small.json  # half a minute
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Samples
from imgrec.data.sources.torchvision_sets import TorchvisionData
from imgrec.studies.baselines.extract import extract, inspect_images
from imgrec.studies.baselines.features import choose_descriptor
from imgrec.studies.baselines.fit import Labelled, choose, proportional
from imgrec.studies.baselines.hog import Hog
from imgrec.studies.baselines.models import MODELS
from imgrec.studies.baselines.output import to_json
from imgrec.studies.baselines.run import Plan, run_baselines

WANTED = 0.916
PUBLISHED = 0.926
NUM_COMPARED = 3000


def read(folder: Path) -> TorchvisionData:
    """Read the data as the experiment does."""
    return TorchvisionData(
        name="FashionMNIST",
        root=str(folder / "fashion-mnist"),
        val_fraction=0.0833,
        preprocess=Preprocess(size=28, mode="none"),
    )


def compare_settings(data: TorchvisionData, *, most: int) -> list[dict[str, Any]]:
    """Return the best validation accuracy, over C, for each setting of HOG."""
    train, val = data.split("train"), data.split("val")
    train = train.subset(proportional(train.labels.astype(np.int64), most, seed=1))
    facts = inspect_images(train, data.preprocess)
    chosen = choose_descriptor("hog", height_width=facts.working_size, is_gray=facts.is_gray)
    settings = {
        "9 directions of 180 degrees": Hog(4, is_gray=True),
        "interpolated": Hog(4, interpolate=True, is_gray=True),
        "interpolated, 16 of 360 degrees": Hog(4, 16, is_signed=True, interpolate=True, is_gray=True),
        "chosen": chosen,
    }
    sides = {
        split: extract(samples, preprocess=data.preprocess, facts=facts, descriptors=settings).features
        for split, samples in {"train": train, "val": val}.items()
    }
    rows = []
    for name, descriptor in settings.items():
        length = np.linalg.norm(sides["train"][name], axis=1).mean()
        fitted, held_out = (
            labelled(sides[split][name] / length, samples) for split, samples in (("train", train), ("val", val))
        )
        choice = choose(replace(MODELS["linear_svm"], candidates=[{"C": 1}, {"C": 3}]), fitted, val=held_out, seed=1)
        best = max(accuracy for _, accuracy in choice.tried)
        rows.append({"hog": name, "settings": str(descriptor), "val_accuracy": best, **choice.settings})
        print(rows[-1], flush=True)
    return rows


def labelled(features: np.ndarray, samples: Samples) -> Labelled:
    return Labelled(features, samples.labels.astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", default="linear_svm,kernel_svm")
    parser.add_argument("--max-train", type=int)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "classical_baselines.json")
    arguments = parser.parse_args()
    data = read(arguments.data)
    settings = compare_settings(data, most=min(NUM_COMPARED, arguments.max_train or NUM_COMPARED))
    start = time.perf_counter()
    plan = Plan(features=[("hog",)], models=arguments.models.split(","), max_train=arguments.max_train)
    table = run_baselines(data, plan, say=lambda text: print(text, flush=True))
    content = to_json(table, folder=Path("baselines"))
    result = {
        "machine": describe(),
        "published": PUBLISHED,
        "wanted": WANTED,
        "settings": settings,
        "seconds": round(time.perf_counter() - start, 1),
        **{key: content[key] for key in ("num_train", "num_val", "num_test", "baselines")},
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    best = content["baselines"][0]
    print(f"{best['name']}: {best['accuracy']:.4f} {best['accuracy_interval']}")
    if arguments.max_train is None and best["accuracy"] < WANTED:
        sys.exit(f"FAILED: less than {WANTED}")


if __name__ == "__main__":
    main()
