"""Fixtures that every test can use, and in what order tests run."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while libraries and tests are loaded, nor in them later: a third of the time it takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests: at the end no processor waits for a long one.

    Whole files, because the tests of one share what was set up for it.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("guard")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `$IMGREC_DATA`, or `../shared/data` beside the project."""
    folder = Path(os.environ.get("IMGREC_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; set IMGREC_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep facts about images out of the user's own cache."""
    os.environ["IMGREC_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Undo what a command called inside this process sets for the rest of it: threads, and Hydra's configuration."""
    _undo()
    yield
    _undo()


def _undo() -> None:
    if "hydra.core.hydra_config" in sys.modules:
        sys.modules["hydra.core.hydra_config"].HydraConfig.instance().cfg = None
    usual = int(os.environ.get("OMP_NUM_THREADS", "0"))
    torch = sys.modules.get("torch")
    if usual and torch is not None and hasattr(torch, "set_num_threads") and torch.get_num_threads() != usual:
        torch.set_num_threads(usual)
