"""Claim: the guarantees of decision rules hold on CIFAR-10, on halves of the test set that they were not fitted on.

A ResNet-20 predicts the 10,000 test images once. Then the table is split at random into two halves, 100 times;
temperature and rules are fitted on one half and evaluated on the other:

- reject rules keep their error rate (1 %, 5 %) in 95 of 100 splits or more. Counted strictly: the measured error rate
  of the accepted images in the other half must be at or below the guarantee;
- prediction sets have a coverage within the interval that the sizes of the halves allow (beta-binomial, 95 %). For LAC
  on both sides; APS, whose sets are never empty, may cover more;
- the expected calibration error (ECE) on the other half is smaller with the temperature than without.

    python benchmarks/decision_guarantees.py --data ../shared/data    # results/decision_guarantees.json; 1 minute
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from scipy.stats import betabinom

from imgrec.evaluation import Predictions, read_parquet
from imgrec.evaluation.decisions import Plan, to_probabilities
from imgrec.evaluation.decisions.calibration import measure_calibration
from imgrec.evaluation.decisions.conformal import needed
from imgrec.evaluation.decisions.outcome import measure_outcome

PROJECT = Path(__file__).parents[1]
WEIGHTS = "weights/akamaster_resnet20-12fca82f.th"
RISKS, COVERAGES = (0.01, 0.05), (0.9, 0.95)
ERRORS = ("ece_width", "ece_mass", "ece_by_chance", "log_loss", "brier")


def predict(data: Path) -> Predictions:
    """Return the predictions that evaluate.py writes."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = ["model=cifar_resnet", f"model.weights={data / WEIGHTS}", "data=folder"]
        overrides += [f"data.test={data / 'cifar10' / 'test'}", f"run_dir={folder}"]
        subprocess.run([sys.executable, "evaluate.py", *overrides], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        return read_parquet(Path(folder) / "predictions.parquet")


def evaluate_split(table: Predictions, seed: int) -> dict[str, Any]:
    """Fit on a random half; return the outcome and the calibration errors on the other half."""
    order = np.random.default_rng(seed).permutation(len(table))
    fit, rest = order[: len(order) // 2], order[len(order) // 2 :]
    plan = Plan(risks=RISKS, delta=0.05, conformal=["lac", "aps"], coverages=COVERAGES)
    decisions = plan.fit(
        table.logits[fit], table.labels[fit], task="single", class_names=table.class_names, split="one half"
    )
    logits, labels = table.logits[rest], table.labels[rest]
    outcome = measure_outcome(decisions, logits, labels)
    errors = {
        name: measure_calibration(
            to_probabilities(logits, task="single", temperature=temperature), labels, task="single"
        )
        for name, temperature in (("before", 1.0), ("after", decisions.temperature))
    }
    return {"outcome": outcome, "errors": errors}


def judge_reject(splits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by rule how often the guarantee was kept."""
    found = defaultdict(list)
    for split in splits:
        for rule in split["outcome"]["reject"]:
            found[rule["name"]].append((rule["risk"], rule["here"]))
    return {
        name: {
            "guaranteed_risk": rules[0][0],
            "rules": len(rules),
            "refused": len(splits) - len(rules),
            "kept": sum(here["risk"] <= risk for risk, here in rules),
            "refuted": sum(here["is_refuted"] for _, here in rules),
            "mean_risk": float(np.mean([here["risk"] for _, here in rules])),
            "largest_risk": max(here["risk"] for _, here in rules),
            "mean_coverage": float(np.mean([here["coverage"] for _, here in rules])),
            "smallest_coverage": min(here["coverage"] for _, here in rules),
        }
        for name, rules in found.items()
    }


def judge_conformal(splits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by rule how often the coverage was within its expected interval."""
    found = defaultdict(list)
    for split in splits:
        for rule in split["outcome"]["conformal"]:
            found[rule["name"]].append(rule)
    return {name: judge_sets(rules) for name, rules in found.items()}


def judge_sets(rules: list[dict[str, Any]]) -> dict[str, Any]:
    here = [rule["here"] for rule in rules]
    covered = np.array([one["covered"] for one in here])
    first = rules[0]
    inside = needed(first["num_samples"], first["coverage"])
    expected = betabinom(here[0]["num_samples"], inside, first["num_samples"] + 1 - inside)
    return {
        "guaranteed_coverage": first["coverage"],
        "expected": [here[0]["expected_low"], here[0]["expected_high"]],
        "within": sum(one["expected_low"] <= one["coverage"] <= one["expected_high"] for one in here),
        "at_or_above_the_lower_end": sum(not one["is_refuted"] for one in here),
        "mean_coverage": float(np.mean([one["coverage"] for one in here])),
        "smallest_coverage": min(one["coverage"] for one in here),
        "deviation_of_coverage": float(np.std(covered / here[0]["num_samples"])),
        "expected_deviation": float(expected.std() / here[0]["num_samples"]),
        "mean_size": float(np.mean([one["mean_size"] for one in here])),
    }


def judge_errors(splits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean calibration errors without and with the temperature, and how often the ECE fell."""
    means = {
        when: {name: float(np.mean([one["errors"][when][name] for one in splits])) for name in ERRORS}
        for when in ("before", "after")
    }
    fell = sum(one["errors"]["after"]["ece_width"] < one["errors"]["before"]["ece_width"] for one in splits)
    temperatures = [one["outcome"]["temperature"] for one in splits]
    return {**means, "fell": fell, "temperature": [min(temperatures), float(np.mean(temperatures)), max(temperatures)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10 and weights")
    parser.add_argument("--table", type=Path, help="predictions.parquet of an evaluation, instead of a new one")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "decision_guarantees.json")
    arguments = parser.parse_args()
    table = read_parquet(arguments.table) if arguments.table else predict(arguments.data.resolve())
    started = time.perf_counter()
    splits = [evaluate_split(table, arguments.seed * 1000 + number) for number in range(arguments.splits)]
    reject, conformal, errors = judge_reject(splits), judge_conformal(splits), judge_errors(splits)
    enough = 0.95 * arguments.splits
    result = {
        "machine": describe(),
        "seed": arguments.seed,
        "splits": arguments.splits,
        "images": len(table),
        "errors_of_all": int((table.predicted != table.labels).sum()),
        "holds": {
            "reject": all(rule["kept"] + rule["refused"] >= enough for rule in reject.values()),
            "lac": all(rule["within"] >= 0.9 * arguments.splits for name, rule in conformal.items() if "lac" in name),
            "aps": all(
                rule["at_or_above_the_lower_end"] >= enough for name, rule in conformal.items() if "aps" in name
            ),
            "ece": errors["fell"] == arguments.splits,
        },
        "reject": reject,
        "conformal": conformal,
        "calibration": errors,
        "seconds_without_inference": round(time.perf_counter() - started, 1),
    }
    print(json.dumps({name: value for name, value in result.items() if name != "machine"}, indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
