"""Claim: each of torchvision's 80 classifiers is built by name, trains, and gives equal logits after a reload.

For every name: build for 3 classes, one step of SGD on 4 random images of 64 px (28 or 32 px for ViT; Inception and
MaxViT need larger ones), save the state dict, build again from that file (`weights=FILE`), and compare the logits with
`torch.equal`. Exits with 1 if a model fails. Needs 10 GB of memory, 3 GB of disk, and 10 minutes on one free core.

    python benchmarks/all_torchvision_models.py                # writes benchmarks/results/all_torchvision_models.json
    python benchmarks/all_torchvision_models.py NAME ...       # some of them; written only with --output
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe
from torch import nn

from imgrec.models import ImageNetwork, make_backbone
from imgrec.models.backbone import CLASSIFIERS

SEED = 0
NUM_CLASSES = 3
RESULTS = Path(__file__).parent / "results" / "all_torchvision_models.json"


def choose_images(name: str) -> tuple[int, dict[str, Any]]:
    """Return the side of the images [px], and the arguments that make the model accept them.

    At 32 px the last BatchNorms of many models see one value per image: too few for a training step.
    """
    if name.startswith("vit_"):
        side = 28 if name.endswith("_14") else 32
        return side, {"image_size": side}
    return {"inception_v3": 75, "maxvit_t": 224}.get(name, 64), {}


def train_one_step(network: ImageNetwork, images: torch.Tensor) -> float:
    """Take a step of SGD and return the loss before it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of this batch: with initial ones a deep network overflows in evaluation
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), max_norm=1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


@torch.inference_mode()
def logits_of(network: ImageNetwork, images: torch.Tensor) -> torch.Tensor:
    """Return the logits in evaluation mode."""
    logits: torch.Tensor = network.eval()(images)
    return logits


def check(name: str, folder: Path) -> dict[str, Any]:
    """Check one model; return its row of the result."""
    torch.manual_seed(SEED)
    side, options = choose_images(name)
    images = torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8)
    started = time.perf_counter()
    network = make_backbone(name, NUM_CLASSES, **options)
    built = time.perf_counter()
    loss = train_one_step(network, images)
    stepped = time.perf_counter()
    expected = logits_of(network, images)
    torch.save(network.state_dict(), folder / "weights.pt")
    row = {
        "name": name,
        "image_px": side,
        "parameters": network.num_parameters,
        "head": sorted(network.head_parameters),
        "loss": loss,
        "build_s": round(built - started, 2),
        "step_s": round(stepped - built, 2),
    }
    del network
    again = make_backbone(name, NUM_CLASSES, weights=folder / "weights.pt", **options)
    assert again.loaded is not None
    equal = torch.equal(logits_of(again, images), expected)
    return {**row, "equal_logits": equal and bool(expected.isfinite().all()) and not again.loaded.fresh}


def main() -> int:
    """Check each name, write the results, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    names = arguments.names or list(CLASSIFIERS)
    torch.set_num_threads(1)
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            row = check(name, Path(folder))
        rows.append(row)
        print(f"{name:22} {row['parameters'] / 1e6:7.1f} M  equal logits: {row['equal_logits']}", flush=True)
    passed = sum(row["equal_logits"] for row in rows)
    print(f"{passed} of {len(rows)} models gave equal logits")
    output = arguments.output or (RESULTS if names == list(CLASSIFIERS) else None)
    if output is not None:
        content = {"machine": describe(), "seed": SEED, "passed": passed, "models": rows}
        output.write_text(json.dumps(content, indent=2) + "\n")
    return 0 if passed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
