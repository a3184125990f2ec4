"""Claim: all scores of 10,000 images and 100 classes and their intervals, 1,000 resamples, take 5 s or less on a CPU.

Everything that `compute_metrics` gives: accuracy, top-5, precision, recall, F1, AUROC and average precision of each
class and their means, kappa, Matthews correlation, log loss, Brier. Once with a network that is often right, once with
one that guesses, which is the slowest: its positives lie everywhere in the ranking. The fastest of three tries.

    python benchmarks/interval_cost.py          # writes benchmarks/results/interval_cost.json; 30 s
"""

import json
import time
from pathlib import Path

import numpy as np
from machine import describe

from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions

ROWS, CLASSES, RESAMPLES, TRIES = 10_000, 100, 1000, 3
SIGNALS = {"often right": 4.0, "guessing": 0.0}


def made_up(signal: float) -> Predictions:
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
    results = []
    for name, signal in SIGNALS.items():
        predictions = made_up(signal)
        compute_metrics(predictions, resamples=100)  # imports
        line = {
            "network": name,
            "accuracy": compute_metrics(predictions, resamples=0)["accuracy"],
            "scores_s": round(min(seconds(predictions, 0) for _ in range(TRIES)), 2),
            "scores_and_intervals_s": round(min(seconds(predictions, RESAMPLES) for _ in range(TRIES)), 2),
        }
        print(line)
        results.append(line)
    report = {**describe(), "rows": ROWS, "classes": CLASSES, "resamples": RESAMPLES, "results": results}
    Path("benchmarks/results/interval_cost.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
