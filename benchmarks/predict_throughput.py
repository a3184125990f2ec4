"""Claim: `imgrec predict` is as fast as decoding and inference allow, and needs no more memory for more images.

Decoding, inference and prediction (from files to a table) are interleaved on the photographs of hymenoptera,
in one process with the same threads. Where both run on the same cores and cost about the same, the slower of the two
alone cannot be reached; possible is 1 / (1 / decoding + 1 / inference), here `combined`. The ratios to both are
reported, of medians. Then one process each predicts few and many images (the same ones repeated), and its peak memory
is compared.

    python benchmarks/predict_throughput.py DATA     # writes benchmarks/results/predict_throughput.json
        [--model resnet18] [--rounds 5] [--few 1000] [--many 20000]
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_text
from imgrec.core.system.progress_line import ProgressLine
from imgrec.deploy.bundle import Bundle, load_bundle
from imgrec.deploy.predict.frames import Pace
from imgrec.deploy.predict.inputs import Inputs, read_inputs
from imgrec.deploy.predict.output import Job, write_file
from imgrec.deploy.predict.rows import RowMaker

RESULT = Path(__file__).parent / "results" / "predict_throughput.json"
BATCH = 16
# The child is the command itself; VmHWM is its own peak memory, not that of its parent process.
CHILD = """
import re, sys
from imgrec.cli.verbs import predict
place = sys.argv.pop()
predict.main()
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=open(place, "w"))
"""


def main() -> None:
    given = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        subprocess.run([sys.executable, __file__, "--make", given.model, str(model)], check=True)
        photos = given.data / "hymenoptera"
        result = throughput(model, photos, folder, rounds=given.rounds, threads=given.threads)
        result["memory"] = memory(model, photos, folder, few=given.few, many=given.many)
    from machine import describe  # here, as it imports torch

    result = {"machine": describe(), "model": given.model, "threads": given.threads, "batch": BATCH, **result}
    text = json.dumps(result, indent=1)
    print(text)
    write_text(given.output, text + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with hymenoptera")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


def make(name: str, path: Path) -> None:
    """Write a bundle of an untrained model, from a fixed seed."""
    import torch

    from imgrec.data.images.preprocess import Preprocess
    from imgrec.deploy.bundle import BundleInfo
    from imgrec.deploy.export.graph import make_graph
    from imgrec.deploy.export.write import to_bytes
    from imgrec.evaluation.decisions import Decisions
    from imgrec.models import make_backbone

    torch.manual_seed(1)
    names = ("ants", "bees")
    net = make_backbone(name, num_classes=2, weights=None).eval()
    info = BundleInfo(names, "single", Preprocess(size=224), Decisions("single", names))
    path.write_bytes(to_bytes(make_graph(net, height=224, width=224), info))


def throughput(model: Path, photos: Path, folder: Path, *, rounds: int, threads: int) -> dict[str, Any]:
    bundle = load_bundle(model, threads=1)
    inputs = read_inputs([str(photos)], lists=(), path_column="path", pace=Pace())
    items = list(inputs.items())
    pixels = [bundle.prepare(item.open()) for item in items]
    batches = [range(start, min(start + BATCH, len(items))) for start in range(0, len(items), BATCH)]

    def decode() -> None:
        each(batches, lambda batch: [bundle.prepare(items[place].open()) for place in batch], threads)

    def inference() -> None:
        each(batches, lambda batch: bundle.run([pixels[place] for place in batch]), threads)

    def whole() -> None:
        predict(bundle, inputs, folder / "p.csv", threads)

    steps = {"decoding": decode, "inference": inference, "predict": whole}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for name in turns(list(steps), rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        steps[name]()
        seconds[name].append(time.perf_counter() - start)
        cpu[name].append(time.process_time() - start_cpu)
    rate = {name: len(items) / statistics.median(values) for name, values in seconds.items()}
    combined = 1 / (1 / rate["decoding"] + 1 / rate["inference"])
    cost = {name: statistics.median(values) / len(items) for name, values in cpu.items()}
    return {
        "images": len(items),
        "rounds": rounds,
        "images_per_s": rate,
        "combined_images_per_s": combined,
        "share_of_slower": rate["predict"] / min(rate["decoding"], rate["inference"]),
        "share_of_combined": rate["predict"] / combined,
        "cpu_ms_per_image": {name: 1000 * value for name, value in cost.items()},
        "cpu_share_of_combined": (cost["decoding"] + cost["inference"]) / cost["predict"],
        "seconds": seconds,
    }


def turns(names: list[str], rounds: int) -> Iterator[str]:
    """Yield each name once per round, starting with another one each time."""
    for number in range(rounds):
        place = number % len(names)
        yield from names[place:] + names[:place]


def each(batches: list[range], do: Callable[[range], object], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(do, batches))


def predict(bundle: Bundle, inputs: Inputs, output: Path, threads: int) -> None:
    maker = RowMaker(bundle.decisions, top_k=0, with_logits=False, with_time=False)
    job = Job(inputs, bundle, maker, threads=threads, batch_size=BATCH)
    write_file(job, output, restart=True, line=ProgressLine(io.StringIO()))


def memory(model: Path, photos: Path, folder: Path, *, few: int, many: int) -> dict[str, Any]:
    """Return the peak memory of the command in MB by number of images."""
    paths = [item.name for item in read_inputs([str(photos)], lists=(), path_column="path", pace=Pace()).items()]
    found = {count: peak_mb(model, folder, [paths[i % len(paths)] for i in range(count)]) for count in (few, many)}
    return {"peak_mb": {str(count): peak for count, peak in found.items()}, "growth": found[many] / found[few]}


def peak_mb(model: Path, folder: Path, paths: list[str]) -> float:
    (folder / "list.txt").write_text("\n".join(str(Path(path).resolve()) for path in paths))
    arguments = [str(model), "--list", str(folder / "list.txt"), "--output", str(folder / "m.csv"), "--overwrite"]
    subprocess.run([sys.executable, "-c", CHILD, *arguments, str(folder / "peak")], check=True)
    return int((folder / "peak").read_text()) / 1000


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
