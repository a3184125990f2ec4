"""Claim: the robustness card of 1,000 images of 32 px takes minutes on two cores, most of them spent on inference.

The published CIFAR-10 ResNet-20 (akamaster_resnet20) predicts 1,000 images of the test set, the classes in proportion,
in 15 corruptions at 5 severities: 75,000 predictions. The result holds the card, with the seconds that it took, and the
time of its parts, measured alone on 200 of the images: each corruption, and the forward pass.

    python benchmarks/robustness_card.py            # writes results/robustness_card.json; 4 minutes on two cores
    python benchmarks/robustness_card.py --num-images 50 --output /tmp/robustness_card.json
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from cifar10 import WEIGHTS, test_images
from machine import describe

from imgrec.data.sources import FolderData
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models import make_cifar_resnet
from imgrec.studies.robustness import Corruptions
from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES, corrupt
from imgrec.studies.study import Subject

NUM_TIMED = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-images", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "robustness_card.json")
    options = parser.parse_args()
    network = make_cifar_resnet(depth=20, weights=str(WEIGHTS), num_classes=10).eval()
    data = test_images(options.num_images)
    with TemporaryDirectory() as folder:
        subject = Subject(network, data, "test", predict(network, data), Path(folder), torch.device("cpu"))
        Corruptions(num_images=None)(subject)
        card = json.loads((Path(folder) / "robustness.json").read_text())
    result = {"machine": describe(), "parts": parts(network, data), "card": card}
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{card['seconds']:.0f} s; clean {card['clean']['score']:.4f}, mean of cells {card['mean_score']:.4f}")


def predict(network: torch.nn.Module, data: FolderData) -> Predictions:
    """Return the predictions for the clean images."""
    samples = data.split("test")
    with torch.inference_mode():
        logits = [network(batch["images"]).numpy() for batch in data.eval_dataloader("test")]
    return Predictions(
        names=samples.names,
        labels=samples.labels,
        logits=np.concatenate(logits),
        class_names=data.splits.class_names,
    )


def parts(network: torch.nn.Module, data: FolderData) -> dict[str, Any]:
    """Return milliseconds per image of each corruption (mean over severities, one core) and of inference."""
    samples = data.split("test")
    images = [samples.images[place] for place in range(min(NUM_TIMED, len(samples)))]
    corrupting = {}
    for corruption in CORRUPTIONS:
        start = time.perf_counter()
        for place, image in enumerate(images):
            corrupt(image, corruption, SEVERITIES[place % len(SEVERITIES)], seed=1, index=place)
        corrupting[corruption.name] = 1e3 * (time.perf_counter() - start) / len(images)
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        network(batch)
        start = time.perf_counter()
        for _ in range(5):
            network(batch)
        forward = 1e3 * (time.perf_counter() - start) / 5 / len(images)
    return {
        "corrupt_ms": corrupting,
        "corrupt_mean_ms": float(np.mean(list(corrupting.values()))),
        "forward_ms": forward,
    }


if __name__ == "__main__":
    main()
