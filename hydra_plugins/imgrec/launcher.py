"""The launcher of sweeps: each job is a process of its own, started with the overrides of the job.

Hydra's own launcher calls the task in this process. Lightning would then start the other processes of a job with the
command line of the sweep, `-m` included, and each of them would silently train with other parameters.

Hydra imports every module of `hydra_plugins` at each start, so this one imports little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

if TYPE_CHECKING:
    from imgrec.evaluation.result import JobResult
    from imgrec.training.sweep.jobs import Ended, Job


@dataclass
class LauncherConfig:
    """hydra/launcher=imgrec.

    Attributes:
        jobs: Number of jobs at a time.
    """

    _target_: str = "hydra_plugins.imgrec.launcher.ProcessLauncher"
    jobs: int = 1


ConfigStore.instance().store(group="hydra/launcher", name="imgrec", node=LauncherConfig, provider="imgrec")


@dataclass
class _Plan:
    """A job before it runs: number, overrides as given, composed configuration and folder."""

    number: int
    overrides: list[str]
    config: DictConfig
    folder: Path


class _QuietReturn(JobReturn):
    """The result of a job for Hydra's sweeper: a failed job raises; its message is printed below the table."""

    @property
    def return_value(self) -> Any:
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class ProcessLauncher(Launcher):
    """Runs the jobs of a sweep, `jobs` at a time; one that fails does not stop the others.

    A job whose folder in the sweep's folder has a result for the same overrides is not run again.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs
        self.results: list[JobResult] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the arguments of Hydra; `imgrec.cli.hydra.entry.Task` gets the results for its table."""
        from imgrec.core.config.checks import check_number

        check_number("hydra.launcher.jobs", self.jobs, at_least=1)
        self.loader = hydra_context.config_loader
        self.config = config
        self.results = getattr(task_function, "results", self.results)
        self.sweep_folder = Path(str(config.hydra.sweep.dir))
        self.used: set[Path] = set()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and return its value or its failure."""
        from imgrec.training.sweep.jobs import run_jobs

        known = _jobs_in(self.sweep_folder)
        plans = [
            self._plan(list(overrides), number=initial_job_idx + index, known=known)
            for index, overrides in enumerate(job_overrides)
        ]
        by_number = {plan.number: plan for plan in plans}
        waiting = [plan for plan in plans if not self._keep_earlier_result(plan, known=known)]
        total = initial_job_idx + len(plans)
        run_jobs(
            [self._job(plan) for plan in waiting],
            at_once=self.jobs,
            on_start=lambda job: _say(f"job {job.number} of {total}: {' '.join(by_number[job.number].overrides)}"),
            on_end=lambda ended: self._add(_result(ended, by_number[ended.job.number])),
        )
        results = {result.number: result for result in self.results}
        return [_job_return(plan, results[plan.number]) for plan in plans]

    def _plan(self, overrides: list[str], *, number: int, known: dict[Path, list[str]]) -> _Plan:
        from imgrec.errors import ConfigError

        if any(_key(override) == "run_dir" for override in overrides):
            raise ConfigError("run_dir is the folder of one run. For a sweep give hydra.sweep.dir=FOLDER.")
        config = self.loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.num = number
            config.hydra.job.id = str(number)
        folder = self._folder(str(config.hydra.sweep.subdir), overrides, known=known)
        return _Plan(number, overrides, config, folder)

    def _folder(self, name: str, overrides: list[str], *, known: dict[Path, list[str]]) -> Path:
        """Return the folder of an earlier job with these overrides, else `name`, else `name` with a number.

        Numbers shift when a sweep is repeated with more values; a folder stays with its overrides.
        """
        same = (folder for folder, theirs in known.items() if theirs == overrides and folder not in self.used)
        names = (self.sweep_folder / (f"{name}_{again}" if again else name) for again in range(1_000_000))
        free = (folder for folder in names if folder not in known and folder not in self.used)
        folder = next(same, None) or next(free)
        self.used.add(folder)
        return folder

    def _job(self, plan: _Plan) -> "Job":
        """Return the command of a job: this script, with the job's overrides, in the job's folder."""
        import sys

        from imgrec.core.config.overrides import quote, read_command_line
        from imgrec.training.sweep.jobs import Job

        line = read_command_line(sys.argv[1:])
        ours = [f"hydra.run.dir={quote(plan.folder)}", f"hydra.job.num={plan.number}", "hydra.mode=RUN"]
        hydras = [item for item in self.config.hydra.overrides.hydra if not _key(item).startswith(_OF_THE_SWEEP)]
        command = [sys.executable, sys.argv[0], *line.config_flags, *plan.overrides, *hydras, *ours]
        return Job(plan.number, tuple(command), plan.folder)

    def _keep_earlier_result(self, plan: _Plan, *, known: dict[Path, list[str]]) -> bool:
        from imgrec.evaluation.result import JobResult, read_result

        score = read_result(plan.folder) if plan.folder in known else None
        if score is None:
            return False
        _say(f"job {plan.number}: is complete already, in {plan.folder}")
        self._add(JobResult(plan.number, plan.folder, _as_dict(plan.overrides), "ok", 0, score=score))
        return True

    def _add(self, result: "JobResult") -> None:
        from imgrec.training.sweep.sweep_table import TABLE_NAME, write_table

        self.results.append(result)
        write_table(self.results, self.sweep_folder / TABLE_NAME)
        if result.seconds is not None:
            score = "" if result.score.value is None else f", {result.score.monitor}={result.score.value:.4g}"
            _say(f"job {result.number}: {result.status}{score}, {result.seconds:.0f} s")


# Settings of Hydra for the sweep, not for its jobs.
_OF_THE_SWEEP = (
    "hydra.launcher", "hydra/launcher", "hydra.sweeper", "hydra/sweeper", "hydra.sweep.", "hydra.mode", "hydra.run.",
)  # fmt: skip


def _jobs_in(sweep_folder: Path) -> dict[Path, list[str]]:
    """Return the folders of jobs in a sweep's folder, each with the overrides that Hydra wrote there."""
    files = sorted(sweep_folder.glob("**/.hydra/overrides.yaml"))
    return {file.parent.parent: [str(override) for override in OmegaConf.load(file)] for file in files}


def _result(ended: "Ended", plan: _Plan) -> "JobResult":
    from imgrec.evaluation.result import JobResult, Score, read_result

    status = "ok" if ended.exit_code == 0 else "stopped" if ended.was_stopped else "failed"
    score = read_result(plan.folder) if status == "ok" else None
    error = "" if status == "ok" else _error(ended)
    overrides = _as_dict(plan.overrides)
    return JobResult(
        plan.number, plan.folder, overrides, status, ended.exit_code, ended.seconds, score or Score(), error
    )


def _error(ended: "Ended") -> str:
    """Return why a job ended: its last error message, or the signal that ended it."""
    import signal

    from imgrec.cli.failure import last_error

    if ended.exit_code < 0:
        return f"ended by {signal.Signals(-ended.exit_code).name}"
    return last_error(ended.job.folder) or f"exit code {ended.exit_code}"


def _job_return(plan: _Plan, result: "JobResult") -> JobReturn:
    from imgrec.errors import JobError

    returned = _QuietReturn(
        overrides=plan.overrides, working_dir=str(plan.folder), task_name=plan.config.hydra.job.name
    )
    returned.hydra_cfg = OmegaConf.masked_copy(plan.config, "hydra")
    returned.cfg = OmegaConf.masked_copy(plan.config, [str(name) for name in plan.config if name != "hydra"])
    is_ok = result.status == "ok"
    returned.return_value = result.score.value if is_ok else JobError(f"job {result.number}: {result.error}")
    returned.status = JobStatus.COMPLETED if is_ok else JobStatus.FAILED
    return returned


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _as_dict(overrides: Sequence[str]) -> dict[str, str]:
    """Return the values of overrides by key."""
    return {override.partition("=")[0]: override.partition("=")[2] for override in overrides}


def _say(text: str) -> None:
    import sys

    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
