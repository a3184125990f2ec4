"""Claim: a scan of 5,000 files, 2,000 of them fuzzed, with pipes and links among them, ends and sorts 99.9 % right.

The tree also holds every file of the `nasty` set, whose index says which can be used. No file crashes the scan, each
is either usable or has a reason code, and a scan with one worker and one with two give the same table.

    python benchmarks/audit_fuzz.py            # writes benchmarks/results/audit_fuzz.json
"""

import argparse
import csv
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from fuzzed_files import files
from machine import describe

from imgrec.auditing.scan.facts import FactsTable
from imgrec.auditing.scan.scan import scan
from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Samples

NUM_CLEAN, NUM_FUZZED = 3000, 2000


def plant(folder: Path, data: Path) -> dict[Path, bool | None]:
    """Write the tree; return the truth about each file."""
    truth: dict[Path, bool | None] = {}
    for file in files(NUM_CLEAN, NUM_FUZZED):
        (folder / file.name).write_bytes(file.data)
        truth[folder / file.name] = file.is_good
    with (data / "nasty" / "index.csv").open() as index:
        for row in csv.DictReader(index):
            path = folder / f"nasty_{row['file']}"
            path.write_bytes((data / "nasty" / "files" / row["file"]).read_bytes())
            sides = [int(row[key] or 0) for key in ("upright_w", "upright_h")]
            truth[path] = {"accept": min(sides) >= 8, "reject": False}.get(row["verdict"])
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "broken_link.jpg").symlink_to(folder / "nowhere.jpg")
    return truth | dict.fromkeys((folder / name for name in ("pipe.jpg", "folder.jpg", "broken_link.jpg")), False)


def scanned(paths: list[Path], workers: int) -> FactsTable:
    part = Samples([str(path) for path in paths], FileImages(paths), np.zeros(len(paths), np.int64))
    return scan({"train": part}, class_names=["any"], workers=workers)


def equal(one: FactsTable, other: FactsTable) -> bool:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in columns)


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=here.parents[1] / "shared" / "data", help="folder of the data sets"
    )
    parser.add_argument("--output", type=Path, default=here / "results" / "audit_fuzz.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth = plant(Path(folder), options.data)
        paths = sorted(truth)
        start = time.perf_counter()
        facts = scanned(paths, 2)
        seconds = time.perf_counter() - start
        same = equal(facts, scanned(paths, 1))
    known = [row for row, path in enumerate(paths) if truth[path] is not None]
    wrong = [row for row in known if (facts.code[row] == "") != truth[paths[row]]]
    result = {
        "machine": describe(),
        "files": len(paths),
        "rows": len(facts),
        "codes": dict(sorted(Counter(facts.code).items())),
        "crashed": facts.code.count("crashed") + facts.code.count("timeout"),
        "truth_known": len(known),
        "sorted_right": 1 - len(wrong) / len(known),
        "wrong": [f"{paths[row].name}: {facts.code[row] or 'usable'}" for row in wrong],
        "same_with_one_and_two_workers": same,
        "seconds": round(seconds, 1),
    }
    print({key: value for key, value in result.items() if key != "machine"})
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
