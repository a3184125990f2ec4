"""What a user may name as a run."""

import pytest

from compared import make_table
from imgrec.errors import ConfigError, DataError
from imgrec.evaluation.compare.runs import read_runs
from imgrec.evaluation.predictions.parquet import write_parquet


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(folder, name="predictions.parquet", seed=1):
        write_parquet(make_table(20, seed=seed), tmp_path / folder / name)

    return write


def test_a_run_folder_an_evaluation_and_a_table_are_runs(place):
    place("outputs/a/evaluation")
    place("outputs/b")
    place("tables", "mine.parquet")
    runs = read_runs(["outputs/a", "outputs/b/", "tables/mine.parquet"])
    assert [run.name for run in runs] == ["a", "b", "mine"]
    assert [str(run.paths[0]) for run in runs] == [
        "outputs/a/evaluation/predictions.parquet",
        "outputs/b/predictions.parquet",
        "tables/mine.parquet",
    ]
    assert len(runs[0].tables[0]) == 20


def test_a_name_can_be_given(place):
    place("x")
    place("y")
    assert [run.name for run in read_runs(["old=x", "new=y"])] == ["old", "new"]


def test_runs_of_equal_folders_are_told_apart_by_what_is_above(place):
    place("monday/run/evaluation")
    place("tuesday/run/evaluation")
    assert [run.name for run in read_runs(["monday/run", "tuesday/run"])] == ["monday/run", "tuesday/run"]


def test_several_trainings_are_a_list_or_a_pattern(place):
    for seed in (1, 2, 3):
        place(f"adam/seed_{seed}/evaluation", seed=seed)
    place("sgd")
    listed, _ = read_runs(["adam=adam/seed_1,adam/seed_2", "sgd"])
    pattern, _ = read_runs(["adam=adam/seed_*", "sgd"])
    assert (len(listed.tables), len(pattern.tables)) == (2, 3)


def test_what_exists_is_no_name_and_no_list(place):
    place("sweep/optimizer.lr=0.1,seed=2/evaluation")
    place("b")
    run, other = read_runs(["sweep/optimizer.lr=0.1,seed=2", "b"])
    assert run.name == "optimizer.lr=0.1,seed=2"
    named, _ = read_runs(["fast=sweep/optimizer.lr=0.1,seed=2", "b"])
    assert (named.name, len(named.tables), other.name) == ("fast", 1, "b")


@pytest.mark.parametrize("arguments", [[], ["a"]])
def test_fewer_than_two_are_refused(arguments):
    with pytest.raises(ConfigError, match="Give two runs or more: imgrec compare RUN_A RUN_B"):
        read_runs(arguments)


def test_what_is_not_there_is_said(place):
    place("a")
    with pytest.raises(DataError, match=r"b/missing: no such folder or table"):
        read_runs(["a", "b/missing"])
    with pytest.raises(DataError, match=r"none\*: no such folder"):
        read_runs(["a", "x=none*"])


def test_a_folder_without_a_table_is_said(place, tmp_path):
    place("a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No predictions\.parquet in empty or empty/evaluation"):
        read_runs(["a", "empty"])


def test_a_run_against_itself_needs_names(place):
    place("a")
    with pytest.raises(ConfigError, match="is named twice"):
        read_runs(["a", "a"])
    assert [run.name for run in read_runs(["one=a", "two=a"])] == ["one", "two"]
    with pytest.raises(ConfigError, match="Two runs are called one"):
        read_runs(["one=a", "one=a"])


def test_a_training_named_twice_is_refused(place):
    place("a")
    place("b")
    with pytest.raises(ConfigError, match=r"names the table .*a/predictions\.parquet twice"):
        read_runs(["x=a,a", "b"])


def test_a_file_that_is_no_table_is_refused_by_name(place, tmp_path):
    place("a")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt"):
        read_runs(["a", "notes.txt"])
