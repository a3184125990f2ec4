"""Claim: a run that is killed (SIGKILL) at any point, any number of times, ends as the uninterrupted run, bit for bit.

Real runs of `train.py` on the built-in digits are killed at random places: between two batches, during validation, and
while a checkpoint is written (before a write, before the rename, between the two renames). After each kill the same run
is started again in the same folder. At the end weights, averaged weights, optimizer state, schedule, counters, every
metric of every epoch and the test result are compared with those of an uninterrupted run.

    python benchmarks/kill_resume.py --kills 200       # writes benchmarks/results/kill_resume.json
    python benchmarks/kill_resume.py --kills 1 --output /tmp/kill_resume.json      # a short trial

Each attempt is forked from a process that has the libraries loaded, so that it takes about a second.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from machine import describe
from pytorch_lightning import Callback

from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.core.config.compose import compose_config
from imgrec.train_job import run_training

OVERRIDES = [
    "data=digits",
    "model=small_cnn",
    "augment=digits",
    "callbacks=[default,ema]",
    "callbacks.ema.decay=0.9",
    "optimizer.lr=0.003",
    "data.batch_size=128",
    "trainer.gpus=0",
    "trainer.max_epochs=3",
    "callbacks.checkpoints.every_n_steps=3",
    "model.dropout=0.2",
]
PLACES = ("batch", "validation", "save")
MOST_EVENTS = {"batch": 9, "validation": 4, "save": 12}


class Bomb(Callback):
    """Kills this process at the nth event of its kind since it was started."""

    def __init__(self, place: str, number: int) -> None:
        self.place = place
        self.number = number

    def count(self, place: str) -> None:
        """Count an event; kill the process at the `number`th of its kind."""
        if place == self.place:
            self.number -= 1
            if self.number == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, *arguments: Any) -> None:
        self.count("batch")

    def on_validation_batch_start(self, *arguments: Any) -> None:
        self.count("validation")

    def watch_saves(self) -> None:
        """Count each step of a durable write as an event: fsync of the file, renames, links, fsync of the folder."""
        for module, name in ((os, "fsync"), (os, "replace"), (os, "link"), (Path, "replace")):
            setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.count("save")
            return function(*arguments, **keywords)

        return call


def train(folder: Path, *, workers: int, bomb: Bomb | None) -> None:
    """Run the job of `train.py` in this process."""
    torch.set_num_threads(1)
    with compose_config("train", [*OVERRIDES, f"data.num_workers={workers}", f"run_dir={folder}"]) as config:
        if bomb is not None:
            bomb.watch_saves()
        run_training(config, {"callbacks": [] if bomb is None else [bomb]})


def attempt(folder: Path, *, workers: int, bomb: Bomb | None) -> int:
    """Run once in a process of its own; return its status as `os.waitpid` does."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    os.setpgrp()
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        train(folder, workers=workers, bomb=bomb)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def outcome(folder: Path) -> dict[str, Any]:
    """Return what must be equal: checkpoints, history and result of a finished run."""
    checkpoint = load_checkpoint(folder / "last.ckpt")
    kept = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "global_step", "epoch", "loops")
    result = json.loads((folder / "result.json").read_text())
    return {
        **{key: checkpoint[key] for key in kept},
        "history": (folder / "history.csv").read_text(),
        "best": load_checkpoint(folder / "best.ckpt")["state_dict"],
        "result": {key: value for key, value in result.items() if key != "checkpoint"},
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the places where two outcomes differ in any bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [f"{where}: keys"]
        return [found for key in one for found in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [f"{where}: length"]
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, (a, b) in pairs for found in differences(a, b, f"{where}[{place}]")]
    return [] if one == other else [where]


def killed_run(folder: Path, *, workers: int, chance: random.Random, most_kills: int) -> Counter[str]:
    """Run to the end with kills on the way; return their number by kind."""
    kills: Counter[str] = Counter()
    while True:
        place = chance.choice(PLACES)
        bomb = Bomb(place, chance.randint(1, MOST_EVENTS[place])) if kills.total() < most_kills else None
        status = attempt(folder, workers=workers, bomb=bomb)
        if status == 0:
            return kills
        if not os.WIFSIGNALED(status):
            raise SystemExit((folder.parent / f"{folder.name}.log").read_text()[-4000:])
        kills[place] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for train.py, on top of the settings here")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "kill_resume.json")
    arguments = parser.parse_args()
    OVERRIDES.extend(arguments.overrides)
    chance = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp())
    if attempt(folder / "uninterrupted", workers=0, bomb=None):
        raise SystemExit((folder / "uninterrupted.log").read_text()[-4000:])
    expected = outcome(folder / "uninterrupted")
    total: Counter[str] = Counter()
    runs, failures = 0, []
    while total.total() < arguments.kills:
        workers = arguments.workers[runs % len(arguments.workers)]
        run = folder / f"run{runs}"
        total += killed_run(run, workers=workers, chance=chance, most_kills=arguments.kills - total.total())
        found = differences(outcome(run), expected)
        failures += [f"run {runs}, workers {workers}: {place}" for place in found]
        print(f"run {runs}: workers {workers}, {total.total()} kills so far, {len(found)} differences", file=sys.stderr)
        shutil.rmtree(run)
        runs += 1
    result = {
        "machine": describe(), "settings": OVERRIDES, "seed": arguments.seed,
        "kills": total.total(), "kills_by_place": dict(total),
        "runs": runs, "runs_with_differences": len({failure.split(":")[0] for failure in failures}),
        "differences": failures,
    }  # fmt: skip
    shutil.rmtree(folder)
    with contextlib.suppress(FileExistsError):
        arguments.output.parent.mkdir()
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}))


if __name__ == "__main__":
    main()
