"""The command line inside this process: what it prints, and how it ends."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from imgrec.cli.hydra import entry
from imgrec.core.config.build import config_dir, store_open_groups

# Two steps: enough for every part to have been used.
SHORT = ("trainer.max_epochs=1", "+trainer.limit_train_batches=2")


@dataclass(frozen=True)
class Done:
    """code: what the shell would see. out, err: what was printed."""

    code: int
    out: str
    err: str


def command(verb: str, *arguments: str) -> Done:
    """Run `imgrec VERB ARGUMENTS` (train or evaluate) in the current folder."""
    from imgrec.evaluate_job import run_evaluation
    from imgrec.train_job import run_training

    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = mock.patch.object(sys, "argv", [f"{verb}.py", *arguments])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _logging_as_before(), argv:
        try:
            entry.run(run_training if verb == "train" else run_evaluation, config_name=verb)
        except SystemExit as end:
            assert isinstance(end.code, int)
            code = end.code
    return Done(code, out.getvalue(), err.getvalue())


def composed(verb: str, folder: Path, *overrides: str) -> DictConfig:
    """Return the configuration of a run in `folder`, for `run_training` and `run_evaluation`."""
    store_open_groups()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(verb, [f"run_dir='{folder}'", *overrides])


@contextlib.contextmanager
def _logging_as_before() -> Iterator[None]:
    """Undo what Hydra does to the root logger, and close its file."""
    if "absl.logging" in sys.modules:
        # Hydra closes all handlers, and absl's closes a stream that is not sys.stderr at that time: that of pytest.
        sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:], root.level = handlers, level
