"""The table of a sweep."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgrec.data.splits.folds import deal_folds
from imgrec.data.splits.split_format import SplitFile, write_split_file
from imgrec.errors import JobError
from imgrec.evaluation.result import JobResult, Score, read_result, read_score
from imgrec.training.sweep.fold_scores import Interval, interval, summarise
from imgrec.training.sweep.sweep_table import check_jobs, ranked, show, write_table


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


# Folds and seeds


def of_fold(number: int, value: float | None, *, lr: str = "0.1", seed: str = "", status: str = "ok") -> JobResult:
    score = Score(value, "val/accuracy", "max", {} if value is None else {"accuracy": value / 2})
    overrides = {"optimizer.lr": lr, "data.fold": str(number), **({"seed": seed} if seed else {})}
    return JobResult(number, Path("sweep") / str(number), overrides, status, 0, 1.0, score=score)


FOLDS = (0.90, 0.92, 0.88, 0.95, 0.85)


def test_over_folds_the_interval_is_the_corrected_one(tmp_path):
    """Nadeau and Bengio 2003 by hand: (1/5 + 1/4) s^2, and t of 4 degrees of freedom, 2.776."""
    (summary,) = summarise([of_fold(fold, value) for fold, value in enumerate(FOLDS)])
    found = summary.scores["val/accuracy"]
    variance = sum((value - 0.9) ** 2 for value in FOLDS) / 4
    assert summary.ratio == 0.25
    assert found.mean == pytest.approx(0.9)
    assert found.high - found.mean == pytest.approx(2.7764451 * math.sqrt(0.45 * variance))
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_over_seeds_the_interval_is_student_s_as_scipy_has_it():
    from scipy.stats import sem, t

    jobs = [JobResult(n, Path("x"), {"seed": str(n)}, "ok", 0, score=Score(v)) for n, v in enumerate(FOLDS)]
    (summary,) = summarise(jobs)
    found = summary.scores["score"]
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 4, loc=0.9, scale=sem(FOLDS)))
    assert (summary.over, summary.ratio) == ("seed", 0.0)


def test_each_setting_has_its_own_line_and_the_best_is_first():
    jobs = [of_fold(fold, value, lr=lr) for lr, more in (("0.1", 0), ("0.2", 0.02)) for fold, value in
            enumerate(value + more for value in FOLDS)]  # fmt: skip
    assert [summary.setting for summary in summarise(jobs)] == [{"optimizer.lr": "0.2"}, {"optimizer.lr": "0.1"}]
    lower = [replace(job, score=replace(job.score, mode="min")) for job in jobs]
    assert [summary.setting for summary in summarise(lower)] == [{"optimizer.lr": "0.1"}, {"optimizer.lr": "0.2"}]


def test_seeds_of_a_fold_count_as_one():
    jobs = [
        of_fold(fold, value + d, seed=s) for fold, value in enumerate(FOLDS) for s, d in (("1", 0.01), ("2", -0.01))
    ]
    (summary,) = summarise(jobs)
    assert summary.scores["val/accuracy"].count == 5
    assert summary.scores["val/accuracy"].std == pytest.approx(interval(FOLDS).std)


def test_jobs_that_failed_are_left_out_and_counted():
    jobs = [*(of_fold(fold, value) for fold, value in enumerate(FOLDS[:4])), of_fold(4, None, status="failed")]
    (summary,) = summarise(jobs)
    assert (summary.num_jobs, summary.num_done, summary.scores["accuracy"].count) == (5, 4, 4)


def test_one_fold_has_a_mean_and_no_interval():
    jobs = [of_fold(0, 0.9), of_fold(1, None, status="failed")]
    assert summarise(jobs)[0].scores["val/accuracy"] == Interval(1, 0.9)


@pytest.mark.parametrize("jobs", [[job(0, 0.5), job(1, 0.9)], [of_fold(0, 0.9)], [of_fold(0, None), of_fold(1, None)]])
def test_without_folds_or_seeds_there_is_nothing_to_sum_up(jobs):
    assert summarise(jobs) == []


def configured(folder: Path, text: str) -> list[JobResult]:
    """Two of the folds, run in `folder` with a configuration as Hydra writes it."""
    for number in range(2):
        (folder / str(number) / ".hydra").mkdir(parents=True)
        (folder / str(number) / ".hydra" / "config.yaml").write_text(text)
    return [replace(of_fold(number, value), folder=folder / str(number)) for number, value in enumerate(FOLDS[:2])]


def test_shares_of_test_and_training_are_those_of_the_configuration(tmp_path):
    (summary,) = summarise(configured(tmp_path, "{seed: 1, data: {folds: 5, val_fraction: 0.1, seed: '${seed}'}}"))
    assert summary.ratio == pytest.approx(0.2 / 0.7)


def test_shares_of_test_and_training_are_those_of_the_split_file(tmp_path):
    labels = np.arange(30) % 2
    split = SplitFile(
        names=[f"{i:02d}" for i in range(30)],
        labels=["ab"[i] for i in labels],
        sides=deal_folds(labels, folds=3, val_fraction=0.2, seed=1),
        class_names=["a", "b"],
        seed=1,
        folds=3,
    )
    write_split_file(split, tmp_path / "s.json")
    (summary,) = summarise(configured(tmp_path, f"data: {{folds: 5, splits: {tmp_path / 's.json'}}}"))
    assert summary.ratio == pytest.approx(10 / 14)


@pytest.mark.parametrize("text", ["data: {splits: none.json}", "data: 3", "[", "{data: {folds: null}}"])
def test_shares_that_are_unknown_are_taken_from_the_folds_that_were_run(tmp_path, text):
    assert summarise(configured(tmp_path, text))[0].ratio == 1.0


def test_folds_and_seeds_have_a_file_beside_the_table(tmp_path):
    write_table([of_fold(fold, value) for fold, value in enumerate(FOLDS)], tmp_path / "sweep.csv")
    first, second = read(tmp_path / "folds.csv")
    assert list(first) == [
        "optimizer.lr", "metric", "folds", "mean", "std", "low_95", "high_95", "test_to_train"
    ]  # fmt: skip
    assert (first["optimizer.lr"], first["metric"], first["folds"]) == ("0.1", "val/accuracy", "5")
    assert second["metric"] == "accuracy"
    assert float(first["mean"]) == pytest.approx(0.9)
    write_table([replace(of_fold(0, v), overrides={"seed": f"{v}"}) for v in FOLDS], tmp_path / "sweep.csv")
    assert read(tmp_path / "seeds.csv")[0]["seeds"] == "5"


def test_a_sweep_without_folds_has_no_such_file(tmp_path):
    write_table([job(0, 0.5), job(1, 0.9)], tmp_path / "sweep.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.csv", "sweep.json", "sweep.html"}


def test_means_are_printed_with_what_they_are_worth(capsys):
    jobs = [of_fold(fold, value) for fold, value in enumerate(FOLDS)]
    show([*jobs, replace(of_fold(5, None, status="failed"), error="no disk")])
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert ["folds", "val/accuracy", "accuracy"] in lines
    assert "5, without 1 of 6 jobs   0.9 ± 0.071    0.45 ± 0.035" in printed
    assert "(Nadeau and Bengio 2003, test to train 0.25). They are approximate." in printed
    assert "Table: sweep/sweep.csv, sweep/folds.csv" in printed


def test_over_seeds_it_is_said_what_the_interval_is_not(capsys):
    show([replace(of_fold(0, value), overrides={"seed": f"{value}"}) for value in FOLDS])
    assert "about randomness of training, not about other data" in capsys.readouterr().out
