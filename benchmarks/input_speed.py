"""Claim: from JPEG files, imgrec loads images at least 2.3 times as fast as torchvision's and timm's loaders.

At 12 megapixels at least 3.3 times. It is also faster than FFCV's JPEG mode, and from prepared images at least 1.5
times as fast as FFCV's raw mode, both of which need their own file format.

Every loader reads the same images by the same recipe, in batches of one size, in two persistent processes; FFCV's and
imgrec's workers are threads (data.workers=threads):

    train  RandomResizedCrop 224 (0.08 to 1 of the area, 3:4 to 4:3), horizontal flip, normalise
    eval   shorter side to 256, centre crop 224, normalise

    photographs  hymenoptera, 396 JPEG files of about 500x375 px, each three times
    12mp         100 of them enlarged to 4000x3000 px, quality 90, each twice; smoother than a camera's, so that
                 decoding costs less than there, for all alike

All loaders are started, then take turns at one pass each while the others are stopped. The output is float32 and
normalised; for imgrec that is the first layer of the model, run here on the whole batch in the consuming process. Rows
with ", uint8" are without it: that is what is sent to a GPU. CPU time is that of the process and its workers, user and
system. Files are in the page cache. All processes keep the memory that they free (unless --default-allocator), which
makes normalising whole batches several times, and the others slightly faster.

    python benchmarks/input_speed.py --images photographs --python ENVIRONMENT/bin/python

Writes benchmarks/results/input_speed.json, one entry for each of --images and --recipe; 3 minutes each on 2 cores.
ENVIRONMENT: imgrec's, and timm, webdataset, litdata. FFCV has to be built, and may have one of its own: --ffcv-python.
What is not installed is skipped and named. Images: $IMGREC_DATA, or ../shared/data.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from input_contenders import CONTENDERS
from machine import describe
from PIL import Image

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("IMGREC_DATA", HERE.parents[1] / "shared" / "data"))
# images -> batch size, copies of each file, images at most
SETS = {"photographs": (64, 3, None), "12mp": (16, 2, 100)}
# A batch as float32 is 38 MB, which glibc would return to the system and map again: half a millisecond per image.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
# imgrec's loader, the other one, least ratio; in a pair the images of both are normalised, or of neither
LIMITS = {
    "photographs": [
        ("imgrec", "torchvision", 2.3),
        ("imgrec", "timm", 2.3),
        ("imgrec", "ffcv jpeg", 1.0),
        ("imgrec, uint8", "ffcv jpeg, uint8", 1.0),
        ("imgrec prepared", "ffcv raw", 1.5),
        ("imgrec prepared, uint8", "ffcv raw, uint8", 1.5),
    ],
    "12mp": [
        ("imgrec", "torchvision", 3.3),
        ("imgrec", "timm", 3.3),
    ],
}


def make_images(kind: str, folder: Path) -> None:
    """Write the class folders of a set. Copies are links to one file, which the page cache holds once."""
    _, copies, most = SETS[kind]
    source = DATA / "hymenoptera"
    if not source.is_dir():
        raise SystemExit(f"no folder {source}; set IMGREC_DATA to the folder of the data sets.")
    files = sorted(source.glob("*/*/*.jpg"))
    for path in files[:: len(files) // most][:most] if most else files:
        target = folder / path.parent.name / f"0_{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "12mp":
            image = Image.open(path).convert("RGB")
            size = (4000, 3000) if image.width >= image.height else (3000, 4000)
            image.resize(size, Image.Resampling.BICUBIC).save(target, quality=90)
        else:
            shutil.copyfile(path, target)
        for copy in range(1, copies):
            os.link(target, target.with_name(f"{copy}_{path.name}"))


Passes = list[dict[str, float]]


@dataclass
class Contestant:
    """A process with one loader, which is stopped unless it is its turn.

    Attributes:
        name: Of the loader.
        command: Starts the process.
        environment: Of the process.
        found: Statistics of its first pass.
        passes: For each row of the table, one entry per round.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    found: dict[str, Any] = field(default_factory=dict)
    passes: dict[str, Passes] = field(default_factory=dict)

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            env=self.environment, start_new_session=True,
        )  # fmt: skip
        try:
            self.found = self._read()
        except SystemExit as error:  # the others are measured all the same
            self.found = {"absent": str(error).replace("\n", " ")[:300]}
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.communicate()

    def run(self) -> None:
        """Make one pass; two, normalised and not, where the loader does not normalise itself."""
        self._signal(signal.SIGCONT)
        for line, mode in self.lines():
            assert self.process.stdin is not None
            self.process.stdin.write(f"{mode}\n")
            self.passes.setdefault(line, []).append(self._read())
        self._signal(signal.SIGSTOP)

    def lines(self) -> list[tuple[str, str]]:
        if self.name.startswith("ffcv") or "float" in self.found["dtype"]:
            return [(self.name, "as it is")]
        name = self.name.removesuffix(", uint8")
        normalised = f"{name}, normalised as a batch" if name in CONTENDERS and name != self.name else name
        return [(normalised, "normalise"), (f"{name}, uint8", "as it is")]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            errors = self.process.communicate()[1].strip().splitlines()
            raise SystemExit(f"{self.name} failed:\n" + "\n".join(errors[-15:]))
        found: dict[str, Any] = json.loads(line)
        return found

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def rates(passes: Passes) -> list[float]:
    return [each["images"] / each["wall_s"] for each in passes]


def times_as_fast(first: Passes, second: Passes) -> float:
    """Return the median over the rounds of how many times as fast `first` was."""
    return round(statistics.median(a / b for a, b in zip(rates(first), rates(second), strict=True)), 2)


def summary(passes: Passes) -> dict[str, Any]:
    return {
        "images": passes[0]["images"],
        "images_per_s": round(statistics.median(rates(passes)), 1),
        "images_per_s_min": round(min(rates(passes)), 1),
        "images_per_s_max": round(max(rates(passes)), 1),
        "cpu_ms_per_image": round(statistics.median(1000 * each["cpu_s"] / each["images"] for each in passes), 3),
    }


def contest(contestants: list[Contestant], *, rounds: int) -> None:
    """Start one after the other, then run in alternating order: a drift of the machine's speed affects all alike."""
    started: list[Contestant] = []
    try:
        for contestant in contestants:
            contestant.start()
            started.append(contestant)
            print(f"  {contestant.name}: {contestant.found}", flush=True)
        running = [contestant for contestant in started if "absent" not in contestant.found]
        for number in range(rounds):
            for contestant in running[:: -1 if number % 2 else 1]:
                contestant.run()
            print(f"  round {number + 1} of {rounds}", flush=True)
    finally:
        for contestant in started:
            contestant.end()


def run(kind: str, recipe: str, *, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    images, work = folder / kind / "images", folder / kind / "containers"
    if not work.is_dir():
        make_images(kind, images)
        work.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"PYTHONPATH": str(HERE.parent), **({} if arguments.default_allocator else KEEP_MEMORY)}
    contestants = []
    for name in arguments.only or CONTENDERS:
        python = arguments.ffcv_python if name.startswith("ffcv") else arguments.python
        script = str(HERE / "input_contenders.py")
        command = [str(python), script, name, str(images), str(work), recipe, str(SETS[kind][0])]
        contestants.append(Contestant(name, command, environment))
    contest(contestants, rounds=arguments.rounds)
    passes = {line: found for contestant in contestants for line, found in contestant.passes.items()}
    limits: list[dict[str, Any]] = [
        {"ours": ours, "other": other, "times_as_fast": times_as_fast(passes[ours], passes[other]), "limit": limit}
        for ours, other, limit in LIMITS[kind]
        if ours in passes and other in passes
    ]
    for limit in limits:
        limit["holds"] = limit["times_as_fast"] >= limit["limit"]
    return {
        "machine": describe(),
        "rounds": arguments.rounds,
        "batch_size": SETS[kind][0],
        "loaders": {line: summary(found) for line, found in passes.items()},
        "limits": limits,
        "first_pass": {contestant.name: contestant.found for contestant in contestants},
    }


def table(title: str, result: dict[str, Any]) -> str:
    lines = [f"{title}, medians of {result['rounds']} rounds", f"{'':50}{'images/s':>10}{'CPU ms':>9}"]
    for name, values in result["loaders"].items():
        lines.append(f"  {name:48}{values['images_per_s']:10.0f}{values['cpu_ms_per_image']:9.2f}")
    for each in result["limits"]:
        verdict = "holds" if each["holds"] else "MISSED"
        pair = f"{each['ours']} / {each['other']}"
        lines.append(f"  {pair}: {each['times_as_fast']} times, at least {each['limit']} wanted: {verdict}")
    absent = {name: found["absent"] for name, found in result["first_pass"].items() if "absent" in found}
    return "\n".join([*lines, *(f"  absent: {name}: {why}" for name, why in absent.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", choices=list(SETS), action="append", help="default: all")
    parser.add_argument("--recipe", choices=["train", "eval"], action="append", help="default: both")
    parser.add_argument("--only", choices=list(CONTENDERS), action="append")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--ffcv-python", type=Path, help="default: that of --python")
    parser.add_argument("--default-allocator", action="store_true")
    parser.add_argument("--folder", type=Path, help="to keep images and containers for the next run")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "input_speed.json")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # no loader stays behind stopped
    arguments.ffcv_python = arguments.ffcv_python or arguments.python
    result = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for kind in arguments.images or SETS:
            for recipe in arguments.recipe or ("train", "eval"):
                found = run(kind, recipe, arguments=arguments, folder=folder)
                result[f"{kind}, {recipe}"] = found
                print(table(f"{kind}, {recipe}", found), flush=True)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
