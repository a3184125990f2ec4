"""The images of an evaluation: the same whoever draws them, and there whatever becomes of the other process."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from imgrec.errors import ConfigError, RunFolderError
from imgrec.evaluation.figures import draw_beside
from imgrec.evaluation.figures.draw_all import draw_figures, figure_of
from imgrec.evaluation.figures.draw_beside import FEWEST_ROWS, MOST_NUMBERS, write_with_figures
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

NAMES = ["confusion_matrix.png", "pr_curves.png", "reliability.png"]


def make_predictions(num_rows=FEWEST_ROWS, **changes):
    random = np.random.default_rng(0)
    columns = {
        "names": [f"{i}.png" for i in range(num_rows)],
        "labels": random.integers(0, 3, num_rows),
        "logits": random.normal(size=(num_rows, 3)).astype(np.float32),
        "class_names": ["ant", "bee", "wasp"],
        "temperature": 1.5,
    }
    return Predictions(**{**columns, **changes})


@pytest.fixture
def two_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.fixture
def drawn_here(monkeypatch):
    """The calls of `draw_figures` in this process."""
    calls = []
    monkeypatch.setattr(draw_beside, "draw_figures", lambda *arguments: calls.append(arguments))
    return calls


def start_python(monkeypatch, code):
    """Let another program take the place of the one that draws; return the list its process will be in."""
    started, popen = [], subprocess.Popen

    def start(command, **options):
        started.append(popen([sys.executable, "-c", code], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def test_the_other_process_draws_the_very_same_images(two_processors, drawn_here, tmp_path):
    predictions = make_predictions()
    with write_with_figures(predictions, tmp_path):
        assert read_parquet(tmp_path / "predictions.parquet").names == predictions.names
    assert not drawn_here
    (tmp_path / "here").mkdir()
    draw_figures(predictions, tmp_path / "here")
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_several_labels_per_image_have_no_confusion_matrix(tmp_path):
    labels = np.random.default_rng(1).integers(0, 2, (30, 3)).astype(np.uint8)
    draw_figures(make_predictions(30, labels=labels, task="multilabel"), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == NAMES[1:]


def test_an_unknown_figure_is_told_which_there_are():
    with pytest.raises(ConfigError) as error:
        figure_of("confusion", make_predictions(30))
    assert str(error.value) == (
        "There is no figure 'confusion'. Did you mean 'confusion_matrix'? "
        "Figures: confusion_matrix, pr_curves, reliability."
    )


def test_where_the_other_process_fails_this_one_draws(two_processors, drawn_here, monkeypatch, tmp_path):
    started = start_python(monkeypatch, "raise SystemExit(1)")
    with write_with_figures(make_predictions(), tmp_path):
        pass
    assert len(started) == len(drawn_here) == 1


def test_where_the_other_process_hangs_this_one_draws(two_processors, drawn_here, monkeypatch, tmp_path):
    monkeypatch.setattr(draw_beside, "TIMEOUT_S", 0.01)
    started = start_python(monkeypatch, "import time; time.sleep(600)")
    with write_with_figures(make_predictions(), tmp_path):
        pass
    assert len(drawn_here) == 1 and started[0].poll() is not None


def test_where_no_process_can_be_started_this_one_draws(two_processors, drawn_here, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with write_with_figures(make_predictions(), tmp_path):
        pass
    assert len(drawn_here) == 1


def test_a_figure_that_cannot_be_written_is_an_error(two_processors, tmp_path):
    (tmp_path / NAMES[1]).mkdir()
    error = pytest.raises(RunFolderError, match=r"pr_curves\.png exists and is not a regular file")
    with error, write_with_figures(make_predictions(), tmp_path):
        pass


def test_an_error_in_the_block_does_not_stop_the_figures(two_processors, drawn_here, tmp_path):
    with pytest.raises(ValueError, match="a study"), write_with_figures(make_predictions(), tmp_path):
        raise ValueError("a study")
    assert all((tmp_path / name).is_file() for name in NAMES)
    assert not drawn_here


def test_a_table_that_cannot_be_written_leaves_no_process_waiting(two_processors, drawn_here, monkeypatch, tmp_path):
    started = start_python(monkeypatch, "import sys; sys.stdin.read(); raise SystemExit(1)")
    (tmp_path / "predictions.parquet").mkdir()
    with pytest.raises(RunFolderError, match=r"predictions\.parquet"), write_with_figures(make_predictions(), tmp_path):
        raise AssertionError("never")
    assert started[0].poll() == 1
    assert not drawn_here


def test_interrupting_the_run_ends_the_other_process(two_processors, drawn_here, monkeypatch, tmp_path):
    started = start_python(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), write_with_figures(make_predictions(), tmp_path):
        raise KeyboardInterrupt
    assert started[0].poll() is not None
    assert not drawn_here


@pytest.mark.parametrize(
    "predictions",
    [
        make_predictions(FEWEST_ROWS - 1),
        replace(
            make_predictions(),
            logits=np.zeros((FEWEST_ROWS, MOST_NUMBERS // FEWEST_ROWS + 1), dtype=np.float32),
            class_names=[str(i) for i in range(MOST_NUMBERS // FEWEST_ROWS + 1)],
        ),
    ],
    ids=["few rows", "many numbers"],
)
def test_small_tables_and_those_that_fill_memory_are_drawn_here(predictions, two_processors, drawn_here, tmp_path):
    with write_with_figures(predictions, tmp_path):
        pass
    assert len(drawn_here) == 1


def test_one_processor_draws_by_itself(drawn_here, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    with write_with_figures(make_predictions(), tmp_path):
        pass
    assert len(drawn_here) == 1
