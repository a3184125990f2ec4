"""Claim: what decisions guarantee holds on CIFAR-10, on halves of the test set that they were not fitted on.

A ResNet-20 says what it thinks of the 10,000 test images, once. Then 100 times the table is divided by chance into
two halves; temperature and rules are fitted on one and held against the other:

- the reject options keep their risk (1 %, 5 %) in 95 of 100 divisions or more. Counted strictly: the share of wrong
  ones among the accepted of the other half is itself at or below the guarantee;
- the sets of classes cover within the interval that the halves' sizes allow (beta-binomial, 95 %). LAC on both sides;
  APS, which is never empty, may cover more;
- the expected calibration error (ECE) on the other half is smaller with the temperature than without.

    python benchmarks/decision_guarantees.py --data ../shared/data    # writes results/decision_guarantees.json; 1 minute
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
    """Return the table that evaluate.py leaves."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["model=cifar_resnet", f"model.weights={data / WEIGHTS}", "data=folder"]
        words += [f"data.test={data / 'cifar10' / 'test'}", f"run_dir={folder}"]
        subprocess.run([sys.executable, "evaluate.py", *words], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        return read_parquet(Path(folder) / "predictions.parquet")


def divide(table: Predictions, seed: int) -> dict[str, Any]:
    """Fit on one half by chance, and return what the other half says of it."""
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


def judge_reject(divisions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return, by rule, how often the guarantee was kept."""
    found = defaultdict(list)
    for division in divisions:
        for rule in division["outcome"]["reject"]:
            found[rule["name"]].append((rule["risk"], rule["here"]))
    return {
        name: {
            "guaranteed_risk": rules[0][0],
            "rules": len(rules),
            "refused": len(divisions) - len(rules),
            "kept": sum(here["risk"] <= risk for risk, here in rules),
            "refuted": sum(here["is_refuted"] for _, here in rules),
            "mean_risk": float(np.mean([here["risk"] for _, here in rules])),
            "largest_risk": max(here["risk"] for _, here in rules),
            "mean_coverage": float(np.mean([here["coverage"] for _, here in rules])),
            "smallest_coverage": min(here["coverage"] for _, here in rules),
        }
        for name, rules in found.items()
    }


def judge_conformal(divisions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return, by rule, how often the coverage was where the sizes of the halves let it be."""
    found = defaultdict(list)
    for division in divisions:
        for rule in division["outcome"]["conformal"]:
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


def judge_errors(divisions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean errors before and after, and how often the ECE fell."""
    means = {
        when: {name: float(np.mean([one["errors"][when][name] for one in divisions])) for name in ERRORS}
        for when in ("before", "after")
    }
    fell = sum(one["errors"]["after"]["ece_width"] < one["errors"]["before"]["ece_width"] for one in divisions)
    temperatures = [one["outcome"]["temperature"] for one in divisions]
    return {**means, "fell": fell, "temperature": [min(temperatures), float(np.mean(temperatures)), max(temperatures)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10 and weights")
    parser.add_argument("--table", type=Path, help="predictions.parquet of an evaluation, instead of making one")
    parser.add_argument("--divisions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "decision_guarantees.json")
    arguments = parser.parse_args()
    table = read_parquet(arguments.table) if arguments.table else predict(arguments.data.resolve())
    started = time.perf_counter()
    divisions = [divide(table, arguments.seed * 1000 + number) for number in range(arguments.divisions)]
    reject, conformal, errors = judge_reject(divisions), judge_conformal(divisions), judge_errors(divisions)
    enough = 0.95 * arguments.divisions
    result = {
        "machine": describe(),
        "seed": arguments.seed,
        "divisions": arguments.divisions,
        "images": len(table),
        "errors_of_all": int((table.predicted != table.labels).sum()),
        "holds": {
            "reject": all(rule["kept"] + rule["refused"] >= enough for rule in reject.values()),
            "lac": all(
                rule["within"] >= 0.9 * arguments.divisions for name, rule in conformal.items() if "lac" in name
            ),
            "aps": all(
                rule["at_or_above_the_lower_end"] >= enough for name, rule in conformal.items() if "aps" in name
            ),
            "ece": errors["fell"] == arguments.divisions,
        },
        "reject": reject,
        "conformal": conformal,
        "calibration": errors,
        "seconds_without_the_network": round(time.perf_counter() - started, 1),
    }
    print(json.dumps({name: value for name, value in result.items() if name != "machine"}, indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
