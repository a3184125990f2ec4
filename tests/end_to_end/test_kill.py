"""SIGKILL at random places of real runs; the long version is benchmarks/kill_resume.py --kills 200."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from project import PROJECT

# A run that is short and draws a kill of each kind; two runs, one without and one with workers.
SHORT = ("model.channels=[4,8]", "trainer.max_epochs=2", "--kills", "6", "--seed", "14")


@pytest.mark.guard
def test_killed_runs_end_where_the_unbroken_one_ends_bit_for_bit(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    command = [sys.executable, PROJECT / "benchmarks" / "kill_resume.py", *SHORT, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(output.read_text())
    assert (result["kills"], result["runs"]) == (6, 2)
    assert set(result["kills_by_place"]) == {"batch", "validation", "save"}
    assert result["differences"] == []
