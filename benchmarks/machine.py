"""The machine of a measurement; every file in results/ begins with it."""

import os
import sys
from pathlib import Path

import torch

from imgrec.core.system.hardware import VERSIONS, hardware, versions


def describe() -> dict[str, object]:
    """Return processor, cores, memory, GPU, versions and the command."""
    found = hardware()
    names = versions(VERSIONS)
    return {
        "processor": found["processor"],
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": found["memory_gib"],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": names.pop("python"),
        "versions": names,
        "command": " ".join(["python", *map(_shortened, sys.argv)]),
    }


def _shortened(argument: str) -> str:
    """Return an absolute path as its last two names: the rest is of no use on another machine."""
    return str(Path("...", *Path(argument).parts[-2:])) if Path(argument).is_absolute() else argument
