"""SIGKILL at random places of real runs; the long version is benchmarks/kill_resume.py --kills 200."""

import json
import subprocess
import sys
from pathlib import Path

from conftest import PROJECT


def test_killed_runs_end_where_the_unbroken_one_ends_bit_for_bit(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    command = [sys.executable, PROJECT / "benchmarks" / "kill_resume.py", "--kills", "12", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(output.read_text())
    assert result["kills"] >= 12
    assert set(result["kills_by_place"]) == {"batch", "validation", "save"}
    assert result["differences"] == []
