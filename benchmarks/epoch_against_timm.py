"""Claim: an epoch of `python train.py` is as fast as one of timm's train.py with its best flags.

Within 5 %, the noise of this measurement; and at least 1.2 times as fast as timm's with its defaults, on CPUs that
compute in bfloat16. Both scripts take turns at training resnet18 on the same images: CIFAR-10 at 32 px, and photographs
(hymenoptera, JPEG) at 224 px. Same images per epoch, batch size, SGD with Nesterov momentum, two workers, and the same
augmentation: timm gets the ranges of imgrec's default (random crop, flip, slight brightness). Four runs per round:

    timm             its defaults: float32
    timm, best       bfloat16, channels_last and the fused optimizer step: the fastest flags found for this CPU
    imgrec           its defaults: trainer.precision=auto (bfloat16 where the CPU has it), channels_last
    imgrec, float32  trainer.precision=32-true

An epoch is timed from the request for its first batch to the end of its last step: by timm's own log line, and in
imgrec by a callback at the same two moments. The first epoch of a run warms up and is excluded. "Cycle" is from the end
of one epoch's steps to the end of the next one's: validation, checkpoint, logging and training. "Start" is from the
command to the end of its first epoch's steps.

`--bfloat16-weights` adds both tools with weights and optimizer state in bfloat16: faster still, but not the same
training, as an update below 1/256 of a weight is lost.

    python benchmarks/epoch_against_timm.py --timm-train TIMM/train.py --timm-python ENVIRONMENT/bin/python

Writes benchmarks/results/epoch_against_timm.json; 5 minutes on 2 cores. Images: $IMGREC_DATA, or ../shared/data.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from machine import describe
from timm_install import Timm, find_timm

PROJECT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("IMGREC_DATA", PROJECT.parent / "shared" / "data"))
SUFFIXES = {".jpg", ".jpeg", ".png"}
LR, MOMENTUM, WEIGHT_DECAY, WORKERS, SEED = 0.05, 0.9, 5e-4, 2, 1

# Prints when an epoch's steps begin and end, into the output of train.py.
CLOCK = """
import time
from pytorch_lightning import Callback

class EpochClock(Callback):
    def on_train_epoch_start(self, trainer, *arguments):
        self.started = time.monotonic()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx + 1 == trainer.num_training_batches:
            print("EPOCH", time.monotonic() - self.started, flush=True)
"""
TIMM_LINE = re.compile(r"Train: \d+ \[ *(\d+)/(\d+) .*Time: .*?\([\d.]+s, +([\d.]+)/s\)")

Variants = dict[str, tuple[str, list[str]]]  # name -> tool and flags

FUSED = ["--channels-last", "--opt-kwargs", "fused=True"]

VARIANTS: Variants = {
    "timm": ("timm", []),
    "timm, best": ("timm", ["--amp", "--amp-dtype", "bfloat16", *FUSED]),
    "imgrec": ("imgrec", []),
    "imgrec, float32": ("imgrec", ["trainer.precision=32-true"]),
}
BFLOAT16_WEIGHTS: Variants = {
    "timm, bf16 weights": ("timm", ["--model-dtype", "bfloat16", *FUSED]),
    "imgrec, bf16 weights": ("imgrec", ["trainer.precision=bf16-true"]),
}
RATIOS = [
    ("imgrec", "timm"),
    ("imgrec", "timm, best"),
    ("imgrec, float32", "timm"),
    ("imgrec, bf16 weights", "timm, bf16 weights"),
]
LIMITS = {"imgrec / timm": 1.2, "imgrec / timm, best": 0.95}  # times faster, epoch


@dataclass(frozen=True)
class Case:
    """A data set and its settings. `batches`: per epoch, all of them full. `num_val`: images to validate on."""

    train: str
    val: str
    size: int
    batch_size: int
    batches: int
    num_val: int
    preprocess: str
    crop_share: float

    @property
    def num_images(self) -> int:
        return self.batches * self.batch_size


CASES = {
    "cifar10_32px": Case("cifar10/train", "cifar10/test", 32, 128, 16, 128, "small", 1.0),
    "hymenoptera_224px": Case("hymenoptera/train", "hymenoptera/val", 224, 16, 8, 32, "crop", 0.875),
}


def copy_images(source: Path, target: Path, *, count: int) -> None:
    """Copy the first `count` images, one class after the other in turns, so that both scripts see the same files."""
    if not source.is_dir():
        raise SystemExit(f"no folder {source}; set IMGREC_DATA to the folder of the data sets.")
    classes = sorted(folder for folder in source.iterdir() if folder.is_dir())
    files = [sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) for folder in classes]
    longest = max(len(of_class) for of_class in files)
    in_turns = [of_class[index] for index in range(longest) for of_class in files if index < len(of_class)]
    if len(in_turns) < count:
        raise SystemExit(f"{source} holds {len(in_turns)} images; {count} are needed.")
    for path in in_turns[:count]:
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / path.parent.name / path.name)


def timm_command(case: Case, data: Path, *, epochs: int, output: Path, timm: Timm) -> list[str]:
    num_classes = len(list((data / "train").iterdir()))
    options = {
        "data-dir": data, "train-split": "train", "val-split": "val", "model": "resnet18", "num-classes": num_classes,
        "img-size": case.size, "crop-pct": case.crop_share, "batch-size": case.batch_size, "device": "cpu",
        "workers": WORKERS, "opt": "sgd", "lr": LR, "momentum": MOMENTUM, "weight-decay": WEIGHT_DECAY,
        "sched": "cosine", "warmup-epochs": 0, "epochs": epochs, "smoothing": 0, "seed": SEED,
        "color-jitter": 0.1, "color-jitter-prob": 0.5, "train-interpolation": "bilinear", "output": output,
    }  # fmt: skip
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [str(timm.python), str(timm.train), *flags, "--scale", "0.25", "1.0"]


def imgrec_command(case: Case, data: Path, *, epochs: int, output: Path) -> list[str]:
    return [
        sys.executable, str(PROJECT / "train.py"), "data=folder", f"data.root={data}", "model=resnet18",
        f"preprocess={case.preprocess}", f"preprocess.size={case.size}", f"data.batch_size={case.batch_size}",
        f"data.num_workers={WORKERS}", "augment=standard", "optimizer=sgd", f"optimizer.lr={LR}",
        f"optimizer.momentum={MOMENTUM}", f"optimizer.weight_decay={WEIGHT_DECAY}", "scheduler=cosine",
        "trainer.gpus=0", f"trainer.max_epochs={epochs}", f"seed={SEED}", f"run_dir={output}",
        "+callbacks.clock._target_=epoch_clock.EpochClock",
    ]  # fmt: skip


def lines(command: list[str], *, folder: Path) -> Iterator[tuple[float, str]]:
    """Run a command; yield each line of its output with the seconds since its start.

    Raises:
        SystemExit: It failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_ALBUMENTATIONS_UPDATE": "1", "HF_HUB_OFFLINE": "1"}
    output = []
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            yield time.monotonic() - started, line
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{''.join(output[-30:])}")


def epoch_seconds(line: str, case: Case) -> float | None:
    """Return the seconds of the epoch whose end a line reports, or None."""
    if line.startswith("EPOCH "):
        return float(line.split()[1])
    found = TIMM_LINE.search(line)
    if found is None or int(found[1]) + 1 != int(found[2]):
        return None
    if int(found[2]) != case.batches:
        raise SystemExit(f"timm took {found[2]} steps, not {case.batches}: {line}")
    return case.num_images / float(found[3])  # the rate has more digits than the time in the same line


def measure(command: list[str], case: Case, *, folder: Path, epochs: int) -> dict[str, float]:
    """Run one training; return its start, and the medians of its later epochs and their cycles, in seconds."""
    ends = [(at, seconds) for at, line in lines(command, folder=folder) if (seconds := epoch_seconds(line, case))]
    if len(ends) != epochs:
        raise SystemExit(f"{len(ends)} epochs found, not {epochs}, in the output of {shlex.join(command)}")
    return {
        "epoch_s": statistics.median(seconds for _, seconds in ends[1:]),
        "cycle_s": statistics.median(later - earlier for (earlier, _), (later, _) in itertools.pairwise(ends)),
        "start_s": ends[0][0],
    }


def one_round(case: Case, data: Path, *, folder: Path, epochs: int, timm: Timm, variants: Variants) -> dict[str, Any]:
    result = {}
    for name, (tool, flags) in variants.items():
        output = Path(tempfile.mkdtemp(dir=folder))
        if tool == "timm":
            command = timm_command(case, data, epochs=epochs, output=output, timm=timm)
        else:
            command = imgrec_command(case, data, epochs=epochs, output=output)
        result[name] = measure([*command, *flags], case, folder=folder, epochs=epochs)
        shutil.rmtree(output)
        print(f"  {name:20}", {key: round(value, 2) for key, value in result[name].items()}, flush=True)
    return result


def summary(rounds: list[dict[str, Any]], case: Case) -> dict[str, Any]:
    """Return medians over the rounds. Ratios are taken round by round: above 1, imgrec is faster."""
    variants = {}
    for name in rounds[0]:
        epochs = [r[name]["epoch_s"] for r in rounds]
        variants[name] = {
            "images_per_s": case.num_images / statistics.median(epochs),
            **{key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]},
            "epoch_s_min": min(epochs),
            "epoch_s_max": max(epochs),
        }
    faster = {
        f"{ours} / {other}": {
            what: statistics.median(r[other][f"{what}_s"] / r[ours][f"{what}_s"] for r in rounds)
            for what in ("epoch", "cycle", "start")
        }
        for ours, other in RATIOS
        if ours in variants
    }
    holds = {pair: faster[pair]["epoch"] >= limit for pair, limit in LIMITS.items()}
    return {
        "images_per_epoch": case.num_images, "size_px": case.size, "batch_size": case.batch_size,
        "rounds": len(rounds), "variants": variants, "times_faster": faster, "limits": LIMITS, "holds": holds,
    }  # fmt: skip


def table(name: str, result: dict[str, Any]) -> str:
    keys = ("images_per_s", "epoch_s", "cycle_s", "start_s")
    rows = [f"{name}: {result['images_per_epoch']} images an epoch, batch {result['batch_size']}, medians"]
    rows.append(" " * 22 + "".join(f"{key:>13}" for key in keys))
    for variant, values in result["variants"].items():
        rows.append(f"  {variant:20}" + "".join(f"{values[key]:13.2f}" for key in keys))
    for pair, ratios in result["times_faster"].items():
        rows.append(f"  {pair}: " + ", ".join(f"{what} {ratio:.2f} times" for what, ratio in ratios.items()))
    return "\n".join(rows)


def run(name: str, *, arguments: argparse.Namespace, timm: Timm, variants: Variants) -> dict[str, Any]:
    case = CASES[name] if arguments.batches is None else replace(CASES[name], batches=arguments.batches)
    rounds = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "epoch_clock.py").write_text(CLOCK)
        copy_images(DATA / case.train, folder / "images" / "train", count=case.num_images)
        copy_images(DATA / case.val, folder / "images" / "val", count=case.num_val)
        for index in range(arguments.rounds):
            # In alternating order, so that a drift of the machine's speed affects all alike.
            turn = dict(list(variants.items())[:: -1 if index % 2 else 1])
            print(f"{name}, round {index + 1} of {arguments.rounds}", flush=True)
            rounds.append(
                one_round(case, folder / "images", folder=folder, epochs=arguments.epochs, timm=timm, variants=turn)
            )
    return summary(rounds, case)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm-train", type=Path, help="train.py of a checkout of timm")
    parser.add_argument("--timm-python", type=Path, help="an interpreter that has timm")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3, help="per run, 2 or more; the first is excluded")
    parser.add_argument("--batches", type=int, help="per epoch, for a quick trial")
    parser.add_argument("--bfloat16-weights", action="store_true", help="two more runs per round")
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "epoch_against_timm.json")
    arguments = parser.parse_args()
    timm, about = find_timm(arguments.timm_train, arguments.timm_python)
    variants = VARIANTS | (BFLOAT16_WEIGHTS if arguments.bfloat16_weights else {})
    flags = {name: flags for name, (_, flags) in variants.items()}
    result: dict[str, Any] = {"machine": describe(), "timm": about, "flags": flags}
    names = [name for name in CASES if arguments.only in (None, name)]
    for name in names:
        result[name] = run(name, arguments=arguments, timm=timm, variants=variants)
    for name in names:
        print(table(name, result[name]))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
