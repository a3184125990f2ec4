"""Writes the bundles for the benchmarks of serving: an untrained resnet18 from a seed.

python benchmarks/serving_bundle.py FILE [SEED] [SIZE_PX]
"""

import sys
from pathlib import Path

import torch

from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.write import to_bytes
from imgrec.evaluation.decisions import Decisions
from imgrec.models import make_backbone

CLASSES = tuple(f"class {number}" for number in range(10))
DEFAULTS = (1, 224)  # seed, size in pixels


def main() -> None:
    path, given = Path(sys.argv[1]), [int(number) for number in sys.argv[2:]]
    seed, size_px = (*given, *DEFAULTS[len(given) :])
    torch.manual_seed(seed)
    network = make_backbone("resnet18", num_classes=len(CLASSES), weights=None).eval()
    info = BundleInfo(
        class_names=list(CLASSES),
        task="single",
        preprocess=Preprocess(size=size_px),
        decisions=Decisions(task="single", class_names=CLASSES),
    )
    path.write_bytes(to_bytes(make_graph(network, height=size_px, width=size_px), info))


if __name__ == "__main__":
    main()
