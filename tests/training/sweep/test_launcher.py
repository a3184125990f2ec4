"""Sweeps from start to end: jobs as processes, the table, and the second start of the same sweep."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from hydra_plugins.imgrec import launcher
from imgrec.errors import ConfigError, JobError
from imgrec.evaluation.result import JobResult, Score
from standin import Done, start

COMMAND = ("-m", "optimizer.lr=0.1,0.5,0.01,0.7", "+extra='it=a [b]'")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A sweep of four jobs, of which job 1 fails and job 3 is killed: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, start(folder, *COMMAND)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep" / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def runs(folder: Path) -> list[dict[str, object]]:
    path = folder / "seen.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_other_jobs_go_on_and_the_sweep_fails(sweep):
    folder, done = sweep
    assert done.returncode == 1
    assert [(row["job"], row["status"], row["exit_code"]) for row in table(folder)] == [
        ("2", "ok", "0"),
        ("0", "ok", "0"),
        ("1", "failed", "2"),
        ("3", "failed", "-9"),
    ]


def test_the_table_has_scores_parameters_and_reasons(sweep):
    best, _, failed, killed = table(sweep[0])
    assert (best["optimizer.lr"], best["score"], best["monitor"], best["accuracy"]) == (
        "0.01",
        "0.99",
        "val/accuracy",
        "0.495",
    )
    assert best["folder"] == "sweep/2"
    assert failed["error"] == "no such folder: [photos]"
    assert killed["error"] == "ended by SIGKILL"


def test_the_table_is_printed_and_the_failure_said(sweep):
    _, done = sweep
    assert "Sweep of 4 jobs, best first" in done.stdout
    assert done.stderr.endswith(
        "2 of 4 jobs failed: 1, 3. To run only these again, repeat the command with hydra.sweep.dir=sweep\n"
    )
    assert "Traceback" not in done.stderr


def test_each_job_is_a_process_with_its_own_overrides_and_folder(sweep):
    folder, _ = sweep
    known = [runs(folder / "sweep" / str(number))[0] for number in range(4)]
    assert [run["lr"] for run in known] == [0.1, 0.5, 0.01, 0.7]
    assert [run["run_dir"] for run in known] == [f"sweep/{number}" for number in range(4)]
    assert len({run["pid"] for run in known}) == 4
    assert {run["extra"] for run in known} == {"it=a [b]"}
    assert all("-m" not in run["argv"] and run["HYDRA_FULL_ERROR"] is None for run in known)


@pytest.fixture(scope="module")
def again(sweep: tuple[Path, Done]) -> tuple[Path, Done]:
    """The same sweep with one more value in front, two jobs at a time."""
    folder, _ = sweep
    overrides = ("-m", "optimizer.lr=0.3,0.1,0.5,0.01,0.7", "+extra='it=a [b]'", "hydra.launcher.jobs=2")
    return folder, start(folder, *overrides)


def test_a_second_start_runs_only_what_has_no_result(again):
    folder, _ = again
    count = {number: len(runs(folder / "sweep" / number)) for number in ("0", "1", "2", "3")}
    assert count == {"0": 1, "1": 2, "2": 1, "3": 2}


def test_a_new_job_does_not_take_the_folder_of_another(again):
    folder, _ = again
    assert [run["lr"] for run in runs(folder / "sweep" / "0_1")] == [0.3]
    rows = {row["job"]: (row["optimizer.lr"], row["folder"]) for row in table(folder)}
    assert rows == {
        "0": ("0.3", "sweep/0_1"),
        "1": ("0.1", "sweep/0"),
        "2": ("0.5", "sweep/1"),
        "3": ("0.01", "sweep/2"),
        "4": ("0.7", "sweep/3"),
    }


def test_the_output_of_jobs_at_the_same_time_is_marked(again):
    assert "[job 2] imgrec: error: no such folder: [photos]" in again[1].stdout


def test_the_folder_of_one_run_is_refused_for_a_sweep(tmp_path):
    done = start(tmp_path, "-m", "optimizer.lr=0.1,0.2", "run_dir=out")
    assert done.returncode == 2
    assert "run_dir is the folder of one run. For a sweep give hydra.sweep.dir=FOLDER." in done.stderr


PLAN = launcher._Plan(3, ["a=1"], OmegaConf.create({"hydra": {"job": {"name": "train"}}, "a": 1}), Path("sweep/3"))


def test_a_sweeper_gets_the_score():
    returned = launcher._job_return(PLAN, JobResult(3, PLAN.folder, {"a": "1"}, "ok", 0, score=Score(0.75)))
    assert (returned.return_value, returned.status) == (0.75, JobStatus.COMPLETED)
    assert (returned.overrides, returned.working_dir, returned.cfg) == (["a=1"], "sweep/3", {"a": 1})


def test_a_failure_reaches_the_sweeper_without_output_on_the_console(capsys):
    returned = launcher._job_return(PLAN, JobResult(3, PLAN.folder, {"a": "1"}, "failed", 2, error="no folder"))
    assert returned.status == JobStatus.FAILED
    with pytest.raises(JobError, match="job 3: no folder"):
        _ = returned.return_value
    assert capsys.readouterr() == ("", "")


def test_at_least_one_job_at_a_time():
    context = SimpleNamespace(config_loader=None)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": "x"}}})
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.jobs=0"):
        launcher.ProcessLauncher(jobs=0).setup(hydra_context=context, task_function=print, config=config)  # type: ignore[arg-type]


def test_settings_of_the_sweep_are_not_handed_to_its_jobs():
    mine = ["hydra.launcher.jobs=2", "hydra/launcher=imgrec", "hydra.sweeper.max_batch_size=1", "hydra.sweep.dir=x"]
    mine += ["hydra.mode=MULTIRUN", "hydra.run.dir=y", "++hydra.sweep.subdir=z"]
    assert all(launcher._key(argument).startswith(launcher._OF_THE_SWEEP) for argument in mine)
    assert not any(
        launcher._key(argument).startswith(launcher._OF_THE_SWEEP) for argument in ("hydra.verbose=true", "a=1")
    )
