"""Runs train.py and evaluate.py as a user does, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

from project import PROJECT

__all__ = ["TWO", "start"]

TWO = ("trainer=ddp", "trainer.gpus=0", "trainer.devices=2", "trainer.precision=32-true")


def start(script: str, folder: Path, *overrides: str) -> str:
    """Run train.py or evaluate.py and return its output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, PROJECT / script, *overrides]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr
