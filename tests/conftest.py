"""Fixtures that every test can use."""

import os
import signal
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `$IMGREC_DATA`, or `../shared/data` beside the project."""
    folder = Path(os.environ.get("IMGREC_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}; set IMGREC_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep facts about pictures out of the user's own cache."""
    os.environ["IMGREC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
