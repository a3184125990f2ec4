"""Claim: all metrics of 10,000 images and 100 classes with intervals, 1,000 resamples, take 5 s or less on a CPU.

All that `compute_metrics` returns: accuracy, top-5, precision, recall, F1, AUROC and average precision per class and
their means, kappa, Matthews correlation, log loss, Brier. For simulated predictions that are often correct, and for
random ones, the slowest case: positives are everywhere in the ranking. The fastest of three tries.

    python benchmarks/interval_cost.py          # writes benchmarks/results/interval_cost.json; 30 s
    python benchmarks/interval_cost.py --resamples 50 --output /tmp/interval_cost.json      # a short trial
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from machine import describe

from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions

ROWS, CLASSES, RESAMPLES, TRIES = 10_000, 100, 1000, 3
SIGNALS = {"often correct": 4.0, "random": 0.0}


def simulate(signal: float) -> Predictions:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    logits = random.normal(size=(ROWS, CLASSES)).astype(np.float32)
    logits[np.arange(ROWS), labels] += signal
    names = [str(i) for i in range(ROWS)]
    return Predictions(names=names, labels=labels, logits=logits, class_names=[f"class {k}" for k in range(CLASSES)])


def seconds(predictions: Predictions, resamples: int) -> float:
    start = time.perf_counter()
    compute_metrics(predictions, resamples=resamples)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "interval_cost.json")
    arguments = parser.parse_args()
    results = []
    for name, signal in SIGNALS.items():
        predictions = simulate(signal)
        compute_metrics(predictions, resamples=100)  # imports
        line = {
            "predictions": name,
            "accuracy": compute_metrics(predictions, resamples=0)["accuracy"],
            "metrics_s": round(min(seconds(predictions, 0) for _ in range(TRIES)), 2),
            "metrics_and_intervals_s": round(min(seconds(predictions, arguments.resamples) for _ in range(TRIES)), 2),
        }
        print(line)
        results.append(line)
    sizes = {"rows": ROWS, "classes": CLASSES, "resamples": arguments.resamples}
    report = {"machine": describe(), **sizes, "results": results}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
