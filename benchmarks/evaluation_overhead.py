"""Claim: evaluating 10,000 images of 32 px spends at most 10 % of its time outside inference and decoding.

`imgrec evaluate` with cifar_resnet 20 on the CIFAR-10 test set, as a user runs it. Overhead, in wall time, is
everything after inference: metrics, intervals, tables, figures, thumbnails, provenance, the report, and waiting for the
process that draws. The rest is inference, with the start of its loader. Imports and building the model, before
inference, are in neither: a longer evaluation does them once too.

    python benchmarks/evaluation_overhead.py DATA [--rounds 3]    # DATA: folder with cifar10/ and weights/; 1 minute

Writes benchmarks/results/evaluation_overhead.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe

RESULT = Path(__file__).parent / "results" / "evaluation_overhead.json"
# The command itself, which records the start and the end of inference, and the end of everything.
CHILD = """
import json, sys, time
import imgrec.evaluate_job as job
from imgrec.cli.verbs import evaluate
place, real = sys.argv.pop(1), job.decide
marks = []
def decide(*args, **options):
    marks.append(time.perf_counter())
    found = real(*args, **options)
    marks.append(time.perf_counter())
    return found
job.decide = decide
evaluate.main()
marks.append(time.perf_counter())
with open(place, "w") as file:
    json.dump(marks, file)
"""
WEIGHTS = "weights/akamaster_resnet20-12fca82f.th"
LIMIT = 0.10


def measure(data: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds of inference, and of everything after it."""
    overrides = [
        "model=cifar_resnet", "model.depth=20", f"model.weights={data / WEIGHTS}", "data=folder",
        f"data.test={data / 'cifar10' / 'test'}", f"run_dir={folder / 'evaluation'}",
    ]  # fmt: skip
    marks = folder / "marks.json"
    subprocess.run([sys.executable, "-c", CHILD, str(marks), *overrides], check=True, stdout=subprocess.DEVNULL)
    started, done, ended = json.loads(marks.read_text())
    assert (folder / "evaluation" / "report.html").is_file()
    return done - started, ended - done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as name:
            inference_s, after_s = measure(arguments.data, Path(name))
        share = after_s / (after_s + inference_s)
        rounds.append(
            {"inference_s": round(inference_s, 2), "after_s": round(after_s, 2), "share_outside": round(share, 4)}
        )
        print(rounds[-1], flush=True)
    share = statistics.median(one["share_outside"] for one in rounds)
    found = {"machine": describe(), "rounds": rounds, "share_outside": share, "holds": share <= LIMIT}
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
