"""The bundles that the benchmarks of serving serve: resnet18 at 224 px, from a fixed seed; what it says means nothing.

python benchmarks/serving_bundle.py FILE [SEED]
"""

import sys
from pathlib import Path

import torch

from imgrec.bundle import BundleInfo
from imgrec.data.preprocess import Preprocess
from imgrec.decisions import Decisions
from imgrec.export.graph import make_graph
from imgrec.export.write import to_bytes
from imgrec.models import make_backbone

CLASSES = tuple(f"class {number}" for number in range(10))
SIZE_PX = 224


def main() -> None:
    path, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.manual_seed(seed)
    network = make_backbone("resnet18", num_classes=len(CLASSES), weights=None).eval()
    info = BundleInfo(
        class_names=list(CLASSES),
        task="single",
        preprocess=Preprocess(size=SIZE_PX),
        decisions=Decisions(task="single", class_names=CLASSES),
    )
    path.write_bytes(to_bytes(make_graph(network, height=SIZE_PX, width=SIZE_PX), info))


if __name__ == "__main__":
    main()
