"""Sweeps from Python."""

from pathlib import Path

import pytest

import imgrec
from command import SHORT
from imgrec.errors import ConfigError, JobError

SMALL = (*SHORT, "trainer.gpus=0", "data.num_workers=0", "decisions=none")


@pytest.mark.guard
def test_a_sweep_trains_each_combination_and_returns_the_table_best_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = imgrec.sweep("optimizer.lr=0.1,0.01", "seed=1,2", *SMALL, jobs=2)
    assert found.folder.is_relative_to("outputs/sweeps")
    table = found.table
    assert {(row["optimizer.lr"], row["seed"]) for row in table} == {
        ("0.1", "1"), ("0.1", "2"), ("0.01", "1"), ("0.01", "2")
    }  # fmt: skip
    assert all(row["status"] == "ok" and 0 <= row["accuracy"] <= 1 for row in table)
    assert [row["score"] for row in table] == sorted((row["score"] for row in table), reverse=True)
    assert all((Path(row["folder"]) / "best.ckpt").exists() for row in table)
    assert found.report.exists() and (found.folder / "seeds.csv").exists()
    assert found._repr_html_().count("<tr>") == 5
    before = {row["folder"]: (Path(row["folder"]) / "best.ckpt").stat().st_mtime_ns for row in table}
    again = imgrec.sweep("optimizer.lr=0.1,0.01", "seed=1,2", *SMALL, jobs=2, folder=found.folder)
    assert [row["score"] for row in again.table] == [row["score"] for row in table]
    assert {folder: (Path(folder) / "best.ckpt").stat().st_mtime_ns for folder in before} == before


def test_an_override_that_is_not_valid_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no key 'optimizer.lrr'. Did you mean 'optimizer.lr'"):
        imgrec.sweep("optimizer.lrr=0.1,0.01", folder=tmp_path / "it's a sweep")


def test_a_failed_job_is_a_job_error_that_names_it_and_the_others_are_kept(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="2 of 2 jobs failed: 0, 1"):
        imgrec.sweep("optimizer.lr=-1,-2", *SMALL, folder=tmp_path / "it's a sweep")
    assert [row["status"] for row in imgrec.Sweep(tmp_path / "it's a sweep").table] == ["failed", "failed"]
