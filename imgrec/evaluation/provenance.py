"""provenance.json: configuration, data, code and hardware of an evaluation, to make it reproducible."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec import __version__
from imgrec.core.files.json_file import write_json
from imgrec.core.system.energy_meter import EnergyMeter
from imgrec.core.system.hardware import hardware, versions

if TYPE_CHECKING:
    from torch import nn

    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["PROVENANCE_NAME", "Recorder", "commit", "describe_data"]

PROVENANCE_NAME = "provenance.json"
FORMAT = 1
_GIT_S = 5.0


class Recorder:
    """Records start, duration of phases, and energy of a job; create it where the job begins.

    Args:
        job: `"train"` or `"evaluate"`.
    """

    def __init__(self, job: str) -> None:
        self.job = job
        self.started = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        self._clock = time.monotonic()
        self._meter = EnergyMeter()
        self._meter.start()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of a block to phase `name`."""
        before = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - before

    def write(
        self,
        folder: Path,
        *,
        config: Mapping[str, Any],
        data: "ImageDataModule",
        split: str,
        network: "nn.Module",
        source: Mapping[str, str],
        trained_with: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `provenance.json` into the folder of the evaluation.

        Args:
            folder: Of the evaluation.
            config: Of this job.
            data: The data module.
            split: The evaluated split.
            network: The model.
            source: `{"checkpoint": path}` or `{"weights": path}`.
            trained_with: Configuration of the run that made the checkpoint, where it is another one.

        Raises:
            RunFolderError: The file cannot be written.
        """
        content = {
            "format": FORMAT,
            "job": self.job,
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "imgrec": __version__,
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": {"total": round(time.monotonic() - self._clock, 3), **_rounded(self.seconds)},
            "seed": config.get("seed"),
            "split": split,
            "source": dict(source),
            "config": dict(config),
            "trained_with": None if trained_with is None else dict(trained_with),
            "data": describe_data(data),
            "model": _describe_network(network, trained_with or config),
            "code": commit(Path(__file__).parent),
            "versions": versions(),
            "hardware": hardware(),
            "energy": self._meter.stop(),
        }
        write_json(folder / PROVENANCE_NAME, content, default=str)  # a configuration may hold objects that JSON cannot


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def describe_data(data: "ImageDataModule") -> dict[str, Any]:
    """Return fingerprint, task, source, class names and number of images.

    `splits`: per split a count for each class, in the order of `class_names`. `num_images`: per split. `left_out`:
    images that cannot be read.
    """
    from imgrec.data.samples import SPLITS, count_classes

    splits = {name: data.split(name) for name in SPLITS if data.has_split(name)}
    num_classes = len(data.splits.class_names)
    counts = {name: count_classes(samples.labels, num_classes).tolist() for name, samples in splits.items()}
    return {
        "fingerprint": data.fingerprint(),
        "task": data.splits.task,
        "target": f"{type(data).__module__}.{type(data).__qualname__}",
        "class_names": list(data.splits.class_names),
        "splits": counts,
        "num_images": {name: len(samples) for name, samples in splits.items()},
        "left_out": len(data.quarantine),
    }


def _describe_network(network: "nn.Module", config: Mapping[str, Any]) -> dict[str, Any]:
    model = config.get("model") or {}
    name = model.get("name") or str(model.get("_target_", "")).rpartition(".")[2].removeprefix("make_")
    return {
        "name": name or type(network).__name__,
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def commit(folder: Path) -> dict[str, Any] | None:
    """Return the git commit of the checkout that `folder` is in, and whether files differ from it; None without one.

    None also for a package that another repository contains but does not track.
    """
    head = _git(folder, "rev-parse", "HEAD")
    if head is None or _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return {"commit": head, "has_changes": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
