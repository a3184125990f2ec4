"""Claim: `imgrec compare` calls a model worse than itself only where a change of its weights does harm.

The published CIFAR-10 ResNet-20 (akamaster_resnet20) is compared on the test set with copies of itself in which one
convolution got normal noise of 0, 0.2, 0.6, 1 and 1.5 times the standard deviation of its weights. The result holds the
verdict for each pair: "same" without noise; "unclear", with the number of images that would tell; or "better", with the
difference. The claim holds if the copy without noise is the same, no copy is better, and the noisiest one is worse.

    python benchmarks/compare_perturbed.py      # writes results/compare_perturbed.json; minutes on two cores
    python benchmarks/compare_perturbed.py --num-images 500 --output /tmp/compare_perturbed.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from cifar10 import WEIGHTS, test_images
from machine import describe

from imgrec.data.sources import FolderData
from imgrec.evaluation.compare.align import align
from imgrec.evaluation.compare.engine import compare_runs
from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.compare.verdict import judge
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models import make_cifar_resnet

STRENGTHS = (0.0, 0.2, 0.6, 1.0, 1.5)
LAYER = 10  # of the 19 convolutions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-images", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "compare_perturbed.json")
    options = parser.parse_args()
    data = test_images(options.num_images)
    published = Run("published", [predict(0.0, data)], [Path("published")])
    rows = []
    for strength in STRENGTHS:
        changed = Run("changed", [predict(strength, data)], [Path("changed")])
        comparison = compare_runs(align([published, changed]))
        (pair,) = comparison.pairs
        verdict = judge(pair, comparison)
        rows.append({
            "strength": strength,
            "errors": round((1 - pair.main.b) * options.num_images),
            "gained": pair.flips.num_gained,
            "lost": pair.flips.num_lost,
            "p": pair.p,
            "kind": verdict.kind,
            "better": verdict.better,
            "verdict": verdict.text,
        })  # fmt: skip
        print(strength, verdict.text, flush=True)
    found = [row["better"] for row in rows]
    holds = rows[0]["kind"] == "same" and "changed" not in found and found[-1] == "published"
    result = {"machine": describe(), "num_images": options.num_images, "holds": holds, "pairs": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def predict(strength: float, data: FolderData) -> Predictions:
    """Return the predictions of the model with noise of that strength in one layer."""
    weights = str(WEIGHTS)
    network = make_cifar_resnet(depth=20, weights=weights, num_classes=10).eval()
    weight = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][LAYER].weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    weight += strength * weight.std() * noise
    samples = data.split("test")
    logits = [network(batch["images"]).numpy() for batch in data.eval_dataloader("test")]
    return Predictions(
        names=samples.names,
        labels=samples.labels,
        logits=np.concatenate(logits),
        class_names=data.splits.class_names,
    )


if __name__ == "__main__":
    main()
