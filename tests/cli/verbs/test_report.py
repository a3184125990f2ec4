"""`imgrec report`: builds pages again."""

import json
import sys
from pathlib import Path

import pytest

from imgrec.cli.verbs.report import main
from imgrec.errors import ConfigError, DataError
from report_data import make_predictions, write_folder


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        main()
        return capsys.readouterr()

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "run" / "evaluation", make_predictions(), parts=False)
    return tmp_path / "run"


def test_the_folder_of_a_run_stands_for_the_evaluation_in_it(call, run_folder):
    out, err = call(run_folder)
    assert out == f"Report: {run_folder / 'evaluation' / 'report.html'}\n"
    assert err == ""
    assert (run_folder / "evaluation" / "report.html").is_file()


def test_images_that_cannot_be_found_are_counted_and_the_page_is_built(call, run_folder, tmp_path):
    folder = run_folder / "evaluation"
    (folder / "thumbnails.parquet").unlink()
    out, err = call(folder)
    assert out.startswith("Report: ")
    assert "0 of" in err and "If they have moved: --images ROOT" in err
    _, err = call(folder, "--images", tmp_path)
    assert f"found below {tmp_path}." in err


def test_the_folder_of_a_sweep_has_its_own_page(call, tmp_path):
    content = {"format": 1, "monitor": "val/accuracy", "varied": [], "jobs": []}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    out, _ = call(tmp_path)
    assert out == f"Report: {tmp_path / 'sweep.html'}\n"
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match=r"sweep\.json is damaged"):
        call(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(DataError, match=r"sweep\.json cannot be read"):
        call(tmp_path)


def test_a_wrong_input_is_explained(call, tmp_path, run_folder):
    with pytest.raises(DataError, match="is not a folder"):
        call(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not the folder of an evaluation"):
        call(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        call(run_folder, "--images", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="imgrec report --help"):
        call("a", "b")
