"""Finds timm's train.py and a Python that runs it, for benchmarks; imgrec needs neither."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe

GET_TIMM = """\
timm's train.py is not in its wheel, and imgrec does not install timm. To get both:
    git clone --depth 1 --branch v1.0.31 https://github.com/huggingface/pytorch-image-models /tmp/timm
    python -m venv /tmp/timm-environment
    /tmp/timm-environment/bin/pip install torch=={torch} torchvision=={torchvision} timm==1.0.31
    python benchmarks/epoch_against_timm.py --timm-train /tmp/timm/train.py \\
        --timm-python /tmp/timm-environment/bin/python"""


@dataclass(frozen=True)
class Timm:
    train: Path
    python: Path


def find_timm(train: Path | None, python: Path | None) -> tuple[Timm, dict[str, Any]]:
    """Return timm's script and interpreter, and their versions.

    Raises:
        SystemExit: Not found, or with another version of torch.
    """
    versions = describe()["versions"]
    assert isinstance(versions, dict)
    help_text = GET_TIMM.format(torch=versions["torch"], torchvision=versions["torchvision"])
    if train is None or python is None or not train.is_file() or not python.is_file():
        raise SystemExit(help_text)
    modules = "PIL, timm, torch, torchvision"
    probe = f"import json, {modules}; print(json.dumps({{m.__name__: m.__version__ for m in ({modules})}}))"
    # In the script's folder, since a checkout contains its own timm.
    found = subprocess.run([python.absolute(), "-c", probe], cwd=train.parent, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"{python} cannot import timm:\n{found.stderr.strip()}\n{help_text}")
    theirs = json.loads(found.stdout.splitlines()[-1])
    if theirs["torch"].split("+")[0] != versions["torch"].split("+")[0]:
        raise SystemExit(f"{python} has torch {theirs['torch']}, imgrec {versions['torch']}: install the same in both.")
    digest = hashlib.sha256(train.read_bytes()).hexdigest()
    timm = Timm(train=train.absolute(), python=python.absolute())
    return timm, {"versions": theirs, "train.py_sha256": digest}
