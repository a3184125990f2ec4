"""The table of a sweep."""

import csv
import json
import sys
from pathlib import Path

import pytest

from imgrec.cli.sweep import JobResult, Score, check_jobs, ranked, read_result, read_score, show, write_table
from imgrec.errors import JobError


def job(number: int, value: float | None = None, *, status: str = "ok", mode: str = "max", **keys: object) -> JobResult:
    score = Score(
        value,
        "val/accuracy",
        mode,
        {} if value is None else {"num_errors": 3, "val/accuracy": value, "accuracy": value / 2},
    )
    overrides = {"model": "resnet18", "optimizer.lr": f"0.{number}"}
    return JobResult(number, Path("sweep") / str(number), overrides, status, 0, 1.0, score=score, **keys)  # type: ignore[arg-type]


def numbers(results: list[JobResult]) -> list[int]:
    return [result.number for result in results]


def test_the_highest_score_is_first():
    assert numbers(ranked([job(0, 0.5), job(1, 0.9), job(2, 0.7)])) == [1, 2, 0]


def test_the_lowest_score_is_first_where_less_is_better():
    assert numbers(ranked([job(n, value, mode="min") for n, value in enumerate([0.5, 0.9, -0.7])])) == [2, 0, 1]


def test_jobs_without_a_score_come_after_those_with_one_and_failed_jobs_last():
    jobs = [job(0, status="failed"), job(1), job(2, 0.0), job(3, -1.0), job(4, status="stopped")]
    assert numbers(ranked(jobs)) == [2, 3, 1, 0, 4]


def test_equal_scores_keep_the_order_of_the_sweep():
    assert numbers(ranked([job(2, 0.5), job(0, 0.5), job(1, 0.5)])) == [0, 1, 2]


def test_a_result_is_read_as_a_run_writes_it(tmp_path):
    text = {"score": 0.5, "monitor": "val/loss", "mode": "min", "metrics": {"b": 1, "a": 2.5, "none": None}, "epoch": 3}
    (tmp_path / "result.json").write_text(json.dumps(text))
    assert read_result(tmp_path) == Score(0.5, "val/loss", "min", {"b": 1.0, "a": 2.5})
    assert read_score(tmp_path) == 0.5


@pytest.mark.parametrize("score", ["NaN", "Infinity", "null"])
def test_a_score_that_is_no_number_is_none(score, tmp_path):
    (tmp_path / "result.json").write_text(f'{{"score": {score}}}')
    assert read_result(tmp_path) == Score(None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"score": "high"}', '{"metrics": 3}'])
def test_a_damaged_result_is_none(text, tmp_path):
    (tmp_path / "result.json").write_text(text)
    assert read_result(tmp_path) is None


def test_an_absent_result_is_none(tmp_path):
    assert read_result(tmp_path) is None
    assert read_score(tmp_path) is None


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_column_for_each_override_and_metric(tmp_path):
    write_table([job(0, 0.5), job(1, 0.9)], tmp_path / "sweep.csv")
    first, second = read(tmp_path / "sweep.csv")
    assert first == {
        "job": "1", "model": "resnet18", "optimizer.lr": "0.1", "status": "ok", "exit_code": "0", "score": "0.9",
        "monitor": "val/accuracy", "num_errors": "3", "val/accuracy": "0.9", "accuracy": "0.45", "seconds": "1.0",
        "folder": "sweep/1", "error": "",
    }  # fmt: skip
    assert second["job"] == "0"


def test_a_failed_job_has_empty_scores_and_its_error(tmp_path):
    write_table([job(0, 0.5), job(1, status="failed", error='no such "folder", sorry')], tmp_path / "sweep.csv")
    failed = read(tmp_path / "sweep.csv")[1]
    assert (failed["status"], failed["score"], failed["accuracy"]) == ("failed", "", "")
    assert failed["error"] == 'no such "folder", sorry'


@pytest.mark.parametrize("text", ["=cmd()", "+1+cmd", "@sum", "-2+3"])
def test_no_cell_is_a_formula(text, tmp_path):
    write_table([job(0, error=text)], tmp_path / "sweep.csv")
    assert read(tmp_path / "sweep.csv")[0]["error"] == f"'{text}"


def test_a_negative_number_stays_one(tmp_path):
    result = JobResult(0, Path("x"), {"trainer.gpus": "-1"}, "failed", -9)
    write_table([result], tmp_path / "sweep.csv")
    (row,) = read(tmp_path / "sweep.csv")
    assert (row["trainer.gpus"], row["exit_code"]) == ("-1", "-9")


def test_the_printed_table_shows_what_differs_and_what_went_wrong(capsys):
    show([job(0, 0.5), job(1, status="failed", error="no folder [x]"), job(2, 0.75)])
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert ["job", "optimizer.lr", "status", "val/accuracy", "accuracy", "time"] in lines
    assert lines.index(["2", "0.2", "ok", "0.75", "0.375", "1", "s"]) < lines.index(
        ["0", "0.0", "ok", "0.5", "0.25", "1", "s"]
    )
    assert "resnet18" not in printed
    assert "job 1 failed: no folder [x] (sweep/1)" in printed
    assert "Table: sweep/sweep.csv" in printed


def test_a_result_of_an_earlier_sweep_has_no_time(capsys):
    show([JobResult(0, Path("sweep/0"), {"a": "1"}, "ok", 0)])
    assert "before" in capsys.readouterr().out


def test_a_table_in_a_pipe_is_not_broken_to_the_width_of_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert not sys.stdout.isatty()
    show([job(0, 0.5), job(1, 0.25)])
    assert "val/accuracy   accuracy" in capsys.readouterr().out


def test_failed_jobs_are_an_error_that_says_how_to_go_on():
    check_jobs([job(0, 0.5), job(1, status="stopped")])
    with pytest.raises(JobError, match=r"2 of 3 jobs failed: 1, 2\. .* hydra\.sweep\.dir=sweep$"):
        check_jobs([job(2, status="failed"), job(0, 0.5), job(1, status="failed")])
