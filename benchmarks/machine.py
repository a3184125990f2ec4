"""What a measurement was made on; every file in results/ begins with it."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch


def describe() -> dict[str, object]:
    """Return processor, cores, memory, GPU, versions and the command."""
    names = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "albumentations", "hydra-core", "imgrec")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "command": " ".join(["python", *map(_without_place, sys.argv)]),
    }


def _without_place(word: str) -> str:
    """Return an absolute path by its last two names: where things lie on one machine is of no use on another."""
    return str(Path("...", *Path(word).parts[-2:])) if Path(word).is_absolute() else word


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
