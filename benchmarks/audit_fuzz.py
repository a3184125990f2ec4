"""Claim: a scan of 5,000 files, 2,000 of them damaged, with pipes and links among them, ends and is correct for 99.9 %.

A file is usable, or has a reason code. Files are made and damaged so that it is known whether they are usable; the tree
also holds every file of the `nasty` data set, whose index says so. No file may crash the scan, and a scan with one
worker and one with two must give the same table.

    python benchmarks/audit_fuzz.py            # writes benchmarks/results/audit_fuzz.json
    python benchmarks/audit_fuzz.py --clean 60 --fuzzed 60 --output /tmp/audit_fuzz.json    # a short trial
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


def plant(folder: Path, data: Path, *, clean: int, fuzzed: int) -> dict[Path, bool | None]:
    """Write the tree; return for each file whether it is usable, None where that is not known."""
    usable: dict[Path, bool | None] = {}
    for file in files(clean, fuzzed):
        (folder / file.name).write_bytes(file.data)
        usable[folder / file.name] = file.is_good
    with (data / "nasty" / "index.csv").open() as index:
        for row in csv.DictReader(index):
            path = folder / f"nasty_{row['file']}"
            path.write_bytes((data / "nasty" / "files" / row["file"]).read_bytes())
            sides = [int(row[key] or 0) for key in ("upright_w", "upright_h")]
            usable[path] = {"accept": min(sides) >= 8, "reject": False}.get(row["verdict"])
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "broken_link.jpg").symlink_to(folder / "nowhere.jpg")
    return usable | dict.fromkeys((folder / name for name in ("pipe.jpg", "folder.jpg", "broken_link.jpg")), False)


def scanned(paths: list[Path], workers: int) -> FactsTable:
    samples = Samples([str(path) for path in paths], FileImages(paths), np.zeros(len(paths), np.int64))
    return scan({"train": samples}, class_names=["any"], workers=workers)


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
    parser.add_argument("--clean", type=int, default=NUM_CLEAN, help="undamaged files")
    parser.add_argument("--fuzzed", type=int, default=NUM_FUZZED, help="damaged files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        usable = plant(Path(folder), options.data, clean=options.clean, fuzzed=options.fuzzed)
        paths = sorted(usable)
        start = time.perf_counter()
        facts = scanned(paths, 2)
        seconds = time.perf_counter() - start
        same = equal(facts, scanned(paths, 1))
    known = [row for row, path in enumerate(paths) if usable[path] is not None]
    incorrect = [row for row in known if (facts.code[row] == "") != usable[paths[row]]]
    result = {
        "machine": describe(),
        "files": len(paths),
        "rows": len(facts),
        "codes": dict(sorted(Counter(facts.code).items())),
        "crashed": facts.code.count("crashed") + facts.code.count("timeout"),
        "known": len(known),
        "share_correct": 1 - len(incorrect) / len(known),
        "incorrect": [f"{paths[row].name}: {facts.code[row] or 'usable'}" for row in incorrect],
        "same_with_one_and_two_workers": same,
        "seconds": round(seconds, 1),
    }
    print({key: value for key, value in result.items() if key != "machine"})
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
