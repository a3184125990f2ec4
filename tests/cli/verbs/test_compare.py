"""`imgrec compare`, as typed."""

import json
import sys

import pytest

from compared import make_table
from imgrec.cli import app
from imgrec.cli.verbs import compare
from imgrec.errors import ConfigError
from imgrec.evaluation.predictions.parquet import write_parquet


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, noise, seed in (("a", 0.3, 1), ("b", 1.5, 2), ("c", 0.3, 3)):
        write_parquet(make_table(noise=noise, seed=seed), tmp_path / name / "evaluation" / "predictions.parquet")
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["imgrec", "compare", *arguments])
    app.main()


def test_it_writes_three_files_and_prints_scores_and_verdict(runs, monkeypatch, capsys):
    run(monkeypatch, "a", "b")
    printed = capsys.readouterr().out
    assert sorted(path.name for path in (runs / "comparison").iterdir()) == [
        "comparison.html",
        "comparison.json",
        "flips.csv",
    ]
    record = json.loads((runs / "comparison" / "comparison.json").read_text())
    assert record["pairs"][0]["verdict"] in printed
    assert "accuracy" in printed and "b minus a" in printed
    assert printed.endswith("Written: comparison/comparison.html, comparison.json, flips.csv\n")


def test_output_and_seed_can_be_chosen_and_the_same_seed_gives_the_same_files(runs, monkeypatch):
    for arguments in (("--output", "x"), ("--output", "y"), ("--output", "z", "--seed", "1")):
        run(monkeypatch, "a", "b", "other=c", *arguments)
    x, y, z = ((runs / name / "comparison.json").read_bytes() for name in "xyz")
    assert x == y != z


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give two runs or more: imgrec compare RUN_A RUN_B"),
        (("a", "nowhere"), "nowhere: no such folder or table"),
        (("a", "b", "--seed", "-1"), "--seed -1, but it must be 0 or more"),
        (("a", "b", "--sed", "1"), "Unrecognized arguments: --sed"),
    ],
)
def test_errors_are_a_message_and_code_2(runs, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (runs / "comparison").exists()


def test_a_table_of_another_layout_is_refused_by_name(runs, monkeypatch, capsys):
    import pyarrow.parquet as pq

    path = runs / "a" / "evaluation" / "predictions.parquet"
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"imgrec"])
    pq.write_table(table.replace_schema_metadata({"imgrec": json.dumps({**about, "format": 0})}), path)
    with pytest.raises(SystemExit):
        run(monkeypatch, "a", "b")
    assert "a/evaluation/predictions.parquet: the table has format 0" in capsys.readouterr().err


def test_help_is_printed_without_reading_anything(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "--help")
    assert ended.value.code == 0
    assert "NAME=RUN,RUN,RUN" in capsys.readouterr().out


def test_the_parser_raises_errors_of_imgrec():
    with pytest.raises(ConfigError, match="imgrec compare --help"):
        compare.make_parser().parse_args(["--seed", "x"])
