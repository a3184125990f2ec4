"""Claim: the search for duplicates costs about as much per image among a million images as among a thousand.

Time and peak memory of the search among 1,000, 10,000 and 100,000 images, 1 in 20 of them a changed copy of another,
and among 1,000,000 hashes. The exponent is the slope of log time over log number: 1 is linear, 2 compares each image
with each. Images are random, with the spectrum of photographs, at 64 px. Scanning, which is linear, is measured on
1,000 and 10,000 files. Each measurement is a process of its own.

    python benchmarks/audit_cost.py            # writes benchmarks/results/audit_cost.json
    python benchmarks/audit_cost.py --one near_pairs 1000      # prints one measurement
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from imgrec.auditing.duplicates.candidates import find_candidates
from imgrec.auditing.duplicates.near import duplicate_groups, near_pairs
from imgrec.auditing.scan.facts import NUM_HASHES, FactsTable, ImageFacts, facts_table
from imgrec.auditing.scan.hashes import perceptual_hashes
from imgrec.auditing.scan.measure import pixel_hash
from imgrec.auditing.scan.scan import scan
from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.samples import Samples

SIDE_PX = 64
ONE_IN = 20
FILES, IMAGES, HASHES = (1_000, 10_000), (1_000, 10_000, 100_000), (10_000, 100_000, 1_000_000)


def sample_images(count: int) -> np.ndarray:
    """Return uint8 (count, 64, 64): noise whose spectrum falls with the frequency; 1 in ONE_IN is a copy, cropped."""
    from PIL import Image

    random = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(SIDE_PX), np.fft.fftfreq(SIDE_PX)))
    frequency[0, 0] = 1.0
    made = np.empty((count, SIDE_PX, SIDE_PX), np.uint8)
    for start in range(0, count, 1000):
        noise = np.fft.rfft2(random.normal(size=(min(1000, count - start), SIDE_PX, SIDE_PX)))
        shaped = np.fft.irfft2(noise / frequency**1.2, s=(SIDE_PX, SIDE_PX))
        made[start : start + 1000] = np.clip(128 + 45 * shaped / shaped.std(axis=(1, 2), keepdims=True), 0, 255)
    for row in range(ONE_IN, count, ONE_IN):
        original = Image.fromarray(made[row - 1])
        made[row] = np.asarray(original.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=(2, 2, 63, 63)))
    return made


def facts_of(image: np.ndarray) -> ImageFacts:
    """Return the facts that the search uses."""
    thumbnail = image.reshape(32, 2, 32, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    return ImageFacts(
        pixel_hash=pixel_hash(image), hashes=perceptual_hashes(image), thumbnail=thumbnail, width=64, height=64
    )


def table(facts: list[ImageFacts]) -> FactsTable:
    names, nothing = [str(row) for row in range(len(facts))], ArrayImages(np.zeros((len(facts), 1, 1), np.uint8))
    samples = Samples(names, nothing, np.zeros(len(facts), np.int64))
    return facts_table({"train": samples}, facts, class_names=["any"])


def search_images(count: int) -> dict[str, float]:
    facts = table([facts_of(image) for image in sample_images(count)])
    before = _peak_mib()
    start = time.perf_counter()
    pairs = near_pairs(facts)
    duplicate_groups(facts, pairs)
    seconds = time.perf_counter() - start
    planted = {(row - 1, row) for row in range(ONE_IN, count, ONE_IN)}
    found = planted & {(pair.first, pair.second) for pair in pairs}
    return {
        "seconds": seconds,
        "peak_mib": _peak_mib(),
        "peak_mib_before": before,
        "recall": len(found) / max(len(planted), 1),
        "false_pairs": len(pairs) - len(found),
    }


def search_hashes(count: int) -> dict[str, float]:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 1 << 64, (count, NUM_HASHES), dtype=np.uint64)
    for view in range(2, NUM_HASHES):  # the hash of a crop is close to that of the image
        hashes[:, view] = hashes[:, 0] ^ _few_bits(random, count)
    hashes[ONE_IN::ONE_IN, 0] = hashes[ONE_IN - 1 : -1 : ONE_IN, 0] ^ _few_bits(
        random, len(range(ONE_IN, count, ONE_IN))
    )
    start = time.perf_counter()
    found = find_candidates(hashes, radius=8)
    seconds = time.perf_counter() - start
    near = int((np.abs(found.moved - found.target) == 1).sum())
    return {
        "seconds": seconds,
        "peak_mib": _peak_mib(),
        "recall": near / max(1, len(range(ONE_IN, count, ONE_IN))),
        "other_candidates": len(found) - near,
    }


def scan_files(count: int) -> dict[str, float]:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{row}.jpg" for row in range(count)]
        for path, image in zip(paths, sample_images(count), strict=True):
            Image.fromarray(image).convert("RGB").resize((400, 300)).save(path)
        samples = Samples([str(path) for path in paths], FileImages(paths), np.zeros(count, np.int64))
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            scan({"train": samples}, class_names=["any"], store=Path(folder) / "facts.sqlite")
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[0], "seconds_again": seconds[1], "peak_mib": _peak_mib()}


def _few_bits(random: np.random.Generator, count: int) -> np.ndarray:
    """Return 64-bit numbers (count,) with 4 bits set; fewer where a bit was drawn twice."""
    bits = np.zeros(count, np.uint64)
    for _ in range(4):
        bits ^= np.uint64(1) << random.integers(0, 64, count, dtype=np.uint64)
    return bits


def _peak_mib() -> float:
    # Not ru_maxrss: a child process starts with that of its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def exponent(curve: dict[int, dict[str, float]]) -> float:
    """Return the slope of log seconds over log number, least squares."""
    return float(np.polyfit([math.log(n) for n in curve], [math.log(one["seconds"]) for one in curve.values()], 1)[0])


MEASURES = {"scan": (scan_files, FILES), "near_pairs": (search_images, IMAGES), "hashes": (search_hashes, HASHES)}


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here / "results" / "audit_cost.json")
    parser.add_argument("--one", nargs=2, metavar=("MEASURE", "NUMBER"), help="print one measurement")
    options = parser.parse_args()
    if options.one:
        name, count = options.one
        print(json.dumps(MEASURES[name][0](int(count))))
        return
    from machine import describe  # imports torch, which would count in the memory of a measurement

    result: dict[str, object] = {"machine": describe()}
    for name, (_, counts) in MEASURES.items():
        curve = {}
        for count in counts:
            command = [sys.executable, __file__, "--one", name, str(count)]
            curve[count] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(name, count, curve[count], flush=True)
        result[name] = {"curve": curve, "exponent": round(exponent(curve), 3)}
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
