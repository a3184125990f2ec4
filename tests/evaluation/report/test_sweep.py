"""sweep.html: the results of a sweep, generated from its sweep.json."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from imgrec.evaluation.report.sweep import write_sweep_report
from imgrec.evaluation.result import JobResult, Score
from imgrec.training.sweep.sweep_table import write_table

EVIL = "<script>alert(1)</script>"


def job(folder: Path, number: int, value: float | None, *, status: str = "ok", **overrides: str) -> JobResult:
    metrics = {} if value is None else {"accuracy": value, "f1_macro": float("inf")}
    score = Score(value, "val/accuracy", "max", metrics)
    return JobResult(number, folder / str(number), overrides, status, 0, 2.5, score=score, error=f"why {EVIL}")


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """A sweep of three jobs, of which one failed; the best has a report."""
    jobs = [
        job(tmp_path, 0, 0.5, lr="0.1", model=EVIL, seed="1"),
        job(tmp_path, 1, 0.7, lr="0.01", model=EVIL, seed="1"),
        job(tmp_path, 2, None, status="failed", lr="0.01", model="b", seed="1"),
    ]
    (tmp_path / "1" / "evaluation").mkdir(parents=True)
    (tmp_path / "1" / "evaluation" / "report.html").write_text("page")
    write_table(jobs, tmp_path / "sweep.csv")
    return tmp_path


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sweep.json").read_text())


def test_the_table_of_a_sweep_is_also_json_and_a_page(swept):
    data = content(swept)
    assert [row["number"] for row in data["jobs"]] == [1, 0, 2]
    assert data["varied"] == ["lr", "model"]
    assert data["monitor"] == "val/accuracy"
    assert data["jobs"][0]["folder"] == "1"
    assert data["jobs"][0]["metrics"] == {"accuracy": 0.7}
    assert (swept / "sweep.html").is_file()


def test_the_page_can_be_built_again_elsewhere(swept, tmp_path_factory):
    moved = tmp_path_factory.mktemp("elsewhere") / "sweep"
    swept.rename(moved)
    before = (moved / "sweep.html").read_text().replace(str(swept), "")
    (moved / "sweep.html").unlink()
    assert write_sweep_report(moved).read_text().replace(str(moved), "") == before


def test_the_best_job_is_named_with_what_varied(swept):
    page = (swept / "sweep.html").read_text()
    assert '<p class="value">0.7</p>' in page
    assert "Job 1: lr=0.01, model=&lt;script&gt;" in page
    assert "seed=1." not in page


def test_a_job_leads_to_its_report_where_there_is_one(swept):
    page = (swept / "sweep.html").read_text()
    assert re.findall(r'<a href="(\./.*?)"', page) == ["./1/evaluation/report.html"]


@pytest.mark.parametrize("folder", ["../1", "/etc", "javascript:alert(1)"])
def test_a_folder_outside_the_sweep_is_no_link(folder, swept):
    data = content(swept)
    data["jobs"][0]["folder"] = folder
    (swept / "sweep.json").write_text(json.dumps(data))
    assert re.findall(r'<a href="([^#].*?)"', write_sweep_report(swept).read_text())[1:] == []


def test_a_failed_job_shows_its_error_and_nothing_is_markup(swept):
    page = (swept / "sweep.html").read_text()
    assert "why &lt;script&gt;alert(1)" in page
    assert EVIL not in page


def test_the_axes_are_the_varied_overrides_and_the_metrics(swept):
    page = (swept / "sweep.html").read_text()
    (block,) = re.findall(r'data-chart="parallel">.*?json">(.*?)</script>', page, re.DOTALL)
    data = json.loads(block)
    assert [axis["name"] for axis in data["axes"]] == ["lr", "model", "accuracy", "val/accuracy"]
    assert [axis["place"] for axis in data["axes"]] == [0, 1, 2, 3]
    assert data["jobs"] == [
        {"number": 1, "values": [0.01, EVIL, 0.7, 0.7]},
        {"number": 0, "values": [0.1, EVIL, 0.5, 0.5]},
    ]
    assert data["best"] == 0


def test_a_sweep_of_failures_has_a_page_too(tmp_path):
    write_table([job(tmp_path, 0, None, status="failed", lr="0.1")], tmp_path / "sweep.csv")
    page = (tmp_path / "sweep.html").read_text()
    assert "No job has finished." in page
    assert "1\N{NO-BREAK SPACE}job, 0 finished" in page
