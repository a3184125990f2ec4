"""The entry of `train` and `evaluate`: compose the configuration, run the job, report errors, set the exit code.

Nothing here imports torch, so that `--help` and an unknown key take no time.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from imgrec import __version__
from imgrec.cli.failure import DEBUG_VARIABLE, report
from imgrec.cli.hydra.help import help_text
from imgrec.core.config.build import check_complete, config_dir, explain_access, run_folder, store_open_groups
from imgrec.core.config.compose import explain_composition
from imgrec.core.config.overrides import CommandLine, read_command_line
from imgrec.errors import JobError, RunFolderError
from imgrec.evaluation.result import JobResult, read_score
from imgrec.training.sweep.sweep_table import check_jobs, show

__all__ = ["Task", "run"]

_FULL_ERROR = "HYDRA_FULL_ERROR"


def run(function: Callable[[Any], object], *, config_name: str) -> None:
    """Call `function` with the configuration composed from conf/`config_name`.yaml and sys.argv; with -m, start jobs.

    Raises:
        SystemExit: After an error: 2 for errors of the user, 1 for bugs and failed jobs, else the code of the error.
    """
    _import_from_outside_this_folder()
    try:
        line = read_command_line(sys.argv[1:])
        if "--debug" in line.ours or os.environ.get(_FULL_ERROR) == "1":
            os.environ[DEBUG_VARIABLE] = "1"
        if "--version" in line.ours:
            sys.stdout.write(f"imgrec {__version__}\n")
        elif "--help" in line.flags or "-h" in line.flags:
            sys.stdout.write(help_text(config_name, folders=line.config_folders))
        else:
            _compose_and_call(Task(function), line=line, config_name=config_name)
        sys.stdout.flush()  # here, where a closed pipe can still be reported
    except (Exception, KeyboardInterrupt) as error:
        raise SystemExit(report(error)) from None


class Task:
    """A function of a configuration, with its errors reported and the results of a sweep collected.

    Attributes:
        results: Of the jobs of a sweep; set by imgrec's launcher.
        was_called: Whether the function was called. Before that, Hydra composes and creates the folder of the run.
    """

    def __init__(self, function: Callable[[Any], object]) -> None:
        functools.update_wrapper(self, function)  # Hydra names the job after the function's file
        self.function = function
        self.results: list[JobResult] = []
        self.was_called = False

    def __call__(self, config: DictConfig) -> float | None:
        """Run the function, and return the value that a sweeper ranks by.

        Raises:
            SystemExit: After an error, which is reported; in a sweep inside one process the error itself.
        """
        folder = run_folder()
        self.was_called = True
        try:
            with _users_environment():
                config.run_dir = str(
                    folder
                )  # the default has the time of its evaluation; sweeps and second processes set it
                check_complete(config)
                self.function(config)
                return read_score(folder)
        except (Exception, KeyboardInterrupt) as error:
            explained = _explained(error)
            if _is_in_process_sweep():
                raise explained from error.__cause__  # Hydra collects it, and other jobs continue
            raise SystemExit(report(explained, folder=folder)) from None


def _compose_and_call(task: Task, *, line: CommandLine, config_name: str) -> None:
    import hydra

    store_open_groups()
    sys.argv[1:] = [*line.flags, *line.overrides]
    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(task)
    try:
        with _hydra_raises():
            main()
    except JobError:
        pass  # `check_jobs` reports all of them
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and not task.was_called:
            message = f"{error.filename}: {error.strerror}. Give another folder: run_dir=PATH."
            raise RunFolderError(message) from error
        raise explain_composition(error, line=line, config_name=config_name) from error.__cause__
    finally:
        if task.results:
            show(task.results)
    check_jobs(task.results)


@contextlib.contextmanager
def _hydra_raises() -> Iterator[None]:
    """Have Hydra raise errors: by default it prints them, often with a traceback, and ends the process."""
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        _set_or_remove(before)


@contextlib.contextmanager
def _users_environment() -> Iterator[None]:
    """Undo `_hydra_raises` while the task runs: processes that it starts report their errors themselves."""
    os.environ.pop(_FULL_ERROR, None)
    try:
        yield
    finally:
        os.environ[_FULL_ERROR] = "1"


def _set_or_remove(value: str | None) -> None:
    if value is None:
        os.environ.pop(_FULL_ERROR, None)
    else:
        os.environ[_FULL_ERROR] = value


def _explained(error: BaseException) -> BaseException:
    if not isinstance(error, OmegaConfBaseException):
        return error
    explained = explain_access(error)
    explained.__cause__ = error
    return explained


def _is_in_process_sweep() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def _import_from_outside_this_folder() -> None:
    """Take this folder off the module path.

    Started as a file (cli/verbs/train.py, by Lightning or by a sweep), Python looks for modules beside that file first,
    and those have common names.
    """
    here = Path(__file__).resolve().parents[1] / "verbs"
    if sys.path and sys.path[0] and Path(sys.path[0]).resolve() == here:
        sys.path[0] = str(here.parents[2])
