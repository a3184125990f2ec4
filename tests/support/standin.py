"""A stand-in for train.py: the same start, and instead of training a result at once, or the trouble asked for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from imgrec.cli.hydra.entry import run

CONF = {
    "train.yaml": """
        defaults:
          - _self_
          - optimizer: sgd
          - override hydra/launcher: imgrec
          - override hydra/hydra_logging: none
          - override hydra/job_logging: none
        trouble: none
        note: ""
        required: given
        run_dir: out/${now:%H-%M-%S-%f}
        hydra: {run: {dir: "${run_dir}"}, sweep: {dir: sweep, subdir: "${hydra.job.num}"}}
    """,
    "optimizer/sgd.yaml": "{lr: 0.1}",
    "optimizer/adam.yaml": "{lr: 0.001}",
}


Done = subprocess.CompletedProcess[str]


def start(folder: Path, *arguments: str, **environment: str) -> Done:
    """Run the stand-in with `arguments` in `folder`."""
    write_conf(folder / "conf")
    command = [sys.executable, __file__, *arguments, "--config-path", str(folder / "conf")]
    inherited = {name: value for name, value in os.environ.items() if name not in ("HYDRA_FULL_ERROR", "IMGREC_DEBUG")}
    return subprocess.run(
        command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


def write_conf(folder: Path) -> None:
    """Write the small configuration that the stand-in works on."""
    for name, text in CONF.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def train(config: Any) -> None:
    """Leave in the run folder what was seen and a result, or fail as `config.trouble` says."""
    from imgrec.core.config.build import check_sweep_of_several_processes
    from imgrec.errors import DataError

    folder = Path(config.run_dir)
    seen = {
        "lr": config.optimizer.lr,
        "note": config.note,
        "extra": config.get("extra"),
        "run_dir": config.run_dir,
        "pid": os.getpid(),
    }
    seen |= {name: os.environ.get(name) for name in ("HYDRA_FULL_ERROR", "IMGREC_DEBUG")}
    seen |= {"argv": sys.argv, "torch": "torch" in sys.modules}
    with (folder / "seen.jsonl").open("a") as file:
        file.write(json.dumps(seen) + "\n")
    if config.trouble == "data" or config.optimizer.lr == 0.5:
        raise DataError("no such folder: [photos]")
    if config.trouble == "fault":
        raise ZeroDivisionError("by zero")
    if config.trouble == "key":
        _ = config.no_such_key
    if config.trouble == "interrupt":
        raise KeyboardInterrupt
    if config.trouble == "processes":
        check_sweep_of_several_processes(2)
    if config.optimizer.lr == 0.7:
        os.kill(os.getpid(), signal.SIGKILL)
    score = 1 - config.optimizer.lr
    result = {"score": score, "monitor": "val/accuracy", "mode": "max", "metrics": {"accuracy": score / 2}}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    run(train, config_name="train")
