"""Claim: evaluate on 10,000 pictures of 32 px spends at most 10 % of its time outside the forward passes and decoding.

`imgrec evaluate` with cifar_resnet 20 on the CIFAR-10 test set, as a user runs it. Counted as overhead: metrics,
intervals, tables, figures, thumbnails, and the report, by the clock on the wall. Figures are drawn by a process of
their own: they count as far as the evaluation waits for it. Counted as work: the pass over the data, with the start of
its loader. Left out of both: imports before the pass and building the network, which a longer evaluation does once too.

python benchmarks/evaluation_overhead.py DATA    # DATA: the folder with cifar10/ and weights/; 1 minute
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from imgrec.report.page.report import write_report

RESULT = Path(__file__).parent / "results" / "evaluation_overhead.json"
WEIGHTS = "weights/akamaster_resnet20-12fca82f.th"
LIMIT = 0.10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "evaluation"
        words = [
            "model=cifar_resnet", "model.depth=20", f"model.weights={arguments.data / WEIGHTS}", "data=folder",
            f"data.test={arguments.data / 'cifar10' / 'test'}", f"run_dir={folder}",
        ]  # fmt: skip
        subprocess.run([sys.executable, "-m", "imgrec.cli.evaluate", *words], check=True)
        seconds = json.loads((folder / "provenance.json").read_text())["seconds"]
        num_pictures = json.loads((folder / "metrics.json").read_text())["num_samples"]
        start = time.perf_counter()
        write_report(folder)
        report_s = time.perf_counter() - start
    overhead = seconds["evaluation"] + report_s
    share = overhead / (overhead + seconds["predict"])
    found = {
        "machine": describe(),
        "num_pictures": num_pictures,
        "predict_s": seconds["predict"],
        "evaluation_s": seconds["evaluation"],
        "report_s": round(report_s, 3),
        "share_outside": round(share, 4),
        "holds": share <= LIMIT,
    }
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key != "machine"}, indent=1))


if __name__ == "__main__":
    main()
