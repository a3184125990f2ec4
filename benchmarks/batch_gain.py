"""Claim: on a processor, batches hardly make float32 cheaper; not spinning while threads wait for each other does.

Processor time (not wall time: other work on the machine counts less) that onnxruntime takes for one image of a
bundle, by images a run: on one thread, and on two that spin or do not while they wait for each other. Rounds in
turns, the median of them. What a server that runs batches can gain over one that does not is limited by the first line.

    python benchmarks/batch_gain.py [--rounds 8]    # batch_gain.json; 1 minute
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe

from imgrec.deploy.bundle import Bundle, load_bundle

HERE = Path(__file__).resolve().parent
SIZES = (1, 4, 16, 32)
WAYS = {
    "1 thread": {"threads": 1, "spins": False},
    "2 threads that spin": {"threads": 2, "spins": True},
    "2 threads that do not": {"threads": 2, "spins": False},
}
SETTLE_S = 0.02  # after it no thread of the run before spins


def milliseconds(bundle: Bundle, size: int) -> float:
    """Return the processor time of one image."""
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
                if number:  # the first one warms
                    found[name][size].append(took)
    medians = {
        name: {size: round(statistics.median(all_), 2) for size, all_ in by.items()} for name, by in found.items()
    }
    result = {"machine": describe(), "rounds": arguments.rounds, "processor_ms_an_image_by_batch": medians}
    print(json.dumps(medians, indent=1))
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
