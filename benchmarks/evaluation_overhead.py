"""Claim: evaluate on 10,000 images of 32 px spends at most 10 % of its time outside the forward passes and decoding.

`imgrec evaluate` with cifar_resnet 20 on the CIFAR-10 test set, as a user runs it. Counted as overhead: all that comes
after the pass over the data, by the clock on the wall: metrics, intervals, tables, figures, thumbnails, provenance, the
report, and waiting for the process that draws. Counted as work: the pass, with the start of its loader. Left out of
both: imports before the pass and building the network, which a longer evaluation does once too.

python benchmarks/evaluation_overhead.py DATA [--rounds 3]    # DATA: the folder with cifar10/ and weights/; 1 minute
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
# The command itself, which tells when the pass began and ended, and when all was done.
CHILD = """
import json, sys, time
import imgrec.train_job as run
from imgrec.cli.verbs import evaluate
place, real = sys.argv.pop(1), run.decide
marks = []
def decide(*args, **options):
    marks.append(time.perf_counter())
    found = real(*args, **options)
    marks.append(time.perf_counter())
    return found
run.decide = decide
evaluate.main()
marks.append(time.perf_counter())
with open(place, "w") as file:
    json.dump(marks, file)
"""
WEIGHTS = "weights/akamaster_resnet20-12fca82f.th"
LIMIT = 0.10


def measure(data: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds of the pass, and of all that comes after it."""
    words = [
        "model=cifar_resnet", "model.depth=20", f"model.weights={data / WEIGHTS}", "data=folder",
        f"data.test={data / 'cifar10' / 'test'}", f"run_dir={folder / 'evaluation'}",
    ]  # fmt: skip
    marks = folder / "marks.json"
    subprocess.run([sys.executable, "-c", CHILD, str(marks), *words], check=True, stdout=subprocess.DEVNULL)
    begun, passed, ended = json.loads(marks.read_text())
    assert (folder / "evaluation" / "report.html").is_file()
    return passed - begun, ended - passed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as name:
            passing_s, after_s = measure(arguments.data, Path(name))
        share = after_s / (after_s + passing_s)
        rounds.append({"pass_s": round(passing_s, 2), "after_s": round(after_s, 2), "share_outside": round(share, 4)})
        print(rounds[-1], flush=True)
    share = statistics.median(one["share_outside"] for one in rounds)
    found = {"machine": describe(), "rounds": rounds, "share_outside": share, "holds": share <= LIMIT}
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
