"""Claim: an exported model predicts the same class as its checkpoint for each of the 153 hymenoptera validation images.

For resnet18, mobilenet_v2, efficientnet_b0, convnext_tiny, vit_b_16 and swin_t at 224 px. Each is trained a little on
real images, so that its logits mean something: mobilenet_v2 with ImageNet weights and a linear probe, the others 12
steps from scratch, then a probe on their features. Compared are labels and probabilities from the bytes of each file,
for both inputs of the graph, pixels in batches of 1 and 32 and whole images. No probability may differ by more than
1e-4.

    python benchmarks/export_parity.py                    # all six; writes results/export_parity.json; 10 minutes
    python benchmarks/export_parity.py --model resnet18   # one of them, added to that file
"""

import argparse
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hymenoptera import DATA, PREPROCESS, SEED, info, sample_images, trained
from machine import describe

from imgrec.deploy.bundle import bundle_from_bytes
from imgrec.deploy.export.outputs import logits_of_bundle, logits_of_network
from imgrec.deploy.export.parity import TOLERANCE, compare, refuse_untrained
from imgrec.deploy.export.write import Settings, make_bundle, to_bytes

MODELS = ("resnet18", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t")
WEIGHTS = {"mobilenet_v2": DATA / "weights" / "mobilenet_v2_imagenet_fp16.pth"}
BATCH_SIZES: dict[Literal["pixels", "image"], tuple[int, ...]] = {"pixels": (1, 32), "image": (1,)}


def check(name: str) -> dict[str, Any]:
    """Return how far the export agrees with the network, for each input and batch size."""
    network, val = trained(name, weights=WEIGHTS.get(name)), sample_images("val")
    reference = logits_of_network(network, PREPROCESS, val)
    refuse_untrained(reference, task="single")
    rows = []
    for form, batch_sizes in BATCH_SIZES.items():
        graph = make_bundle(network, info(), Settings(input=form), say=print).shipped
        described = info(input=form)
        data = to_bytes(graph, described)
        bundle = bundle_from_bytes(data, name=f"{name}.onnx")
        for batch_size in batch_sizes:
            logits = logits_of_bundle(bundle, val, batch_size=batch_size)
            parity = compare(val.names, reference, logits, task="single")
            rows.append({"input": form, "batch_size": batch_size, "size_bytes": len(data), **parity.to_dict()})
            print(name, form, batch_size, parity.same_labels, parity.max_probability_difference, flush=True)
    return {
        "accuracy": float((reference.argmax(1) == val.labels).mean()),
        "largest_logit": float(np.abs(reference).max()),
        "checks": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, help="only this one; its result is added to the output file")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "export_parity.json")
    arguments = parser.parse_args()
    models: dict[str, Any] = {}
    if arguments.model and arguments.output.exists():
        models = json.loads(arguments.output.read_text())["models"]
    for name in [arguments.model] if arguments.model else MODELS:
        models[name] = check(name)
        rows = [row for model in models.values() for row in model["checks"]]
        result = {
            "machine": describe(),
            "seed": SEED,
            "tolerance": TOLERANCE,
            "images": models[name]["checks"][0]["images"],
            "all_labels_the_same": not any(row["ties"] or row["different"] for row in rows),
            "max_probability_difference": max(row["max_probability_difference"] for row in rows),
            "models": {known: models[known] for known in MODELS if known in models},
        }
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
