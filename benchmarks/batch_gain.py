"""Claim: on a CPU, batches hardly make float32 cheaper; threads that do not spin while they wait for each other do.

CPU time that onnxruntime takes for one image of a resnet18 bundle, by batch size: on one thread, and on two threads
that do or do not spin while they wait for each other. CPU time and not wall time, since other work on the machine
affects it less. The median of interleaved rounds. The gain of a server from batches is limited by the first row.

    python benchmarks/batch_gain.py [--rounds 8]    # writes benchmarks/results/batch_gain.json; 1 minute
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

from imgrec.deploy.bundle import Bundle, load_bundle

HERE = Path(__file__).resolve().parent
SIZES = (1, 4, 16, 32)
WAYS: dict[str, dict[str, Any]] = {
    "1 thread": {"threads": 1, "spins": False},
    "2 threads that spin": {"threads": 2, "spins": True},
    "2 threads that do not": {"threads": 2, "spins": False},
}
SETTLE_S = 0.02  # after it no thread of the previous run spins


def milliseconds(bundle: Bundle, size: int) -> float:
    """Return the CPU time per image."""
    images = np.random.default_rng(0).integers(0, 256, (size, 224, 224, 3), dtype=np.uint8)
    time.sleep(SETTLE_S)
    runs, started = max(1, 8 // size), time.process_time()
    for _ in range(runs):
        bundle.run(images)
    time.sleep(SETTLE_S)
    return (time.process_time() - started) / runs / size * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "batch_gain.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "resnet18.onnx"
        subprocess.run([sys.executable, str(HERE / "serving_bundle.py"), str(model)], check=True, capture_output=True)
        bundles = {name: load_bundle(model, **options) for name, options in WAYS.items()}
    found: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in WAYS}
    for number in range(arguments.rounds + 1):
        for name, bundle in bundles.items():
            for size in SIZES:
                took = milliseconds(bundle, size)
                if number:  # the first round warms up
                    found[name][size].append(took)
    medians = {
        name: {size: round(statistics.median(all_), 2) for size, all_ in by.items()} for name, by in found.items()
    }
    result = {"machine": describe(), "rounds": arguments.rounds, "cpu_ms_per_image_by_batch_size": medians}
    print(json.dumps(medians, indent=1))
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
