"""Rows of answers, and how they are written."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imgrec.deploy.predict.formats import CsvLines, JsonLines
from imgrec.deploy.predict.parquet_file import write_parquet
from imgrec.deploy.predict.pipeline import Answer
from imgrec.deploy.predict.rows import Counts, RowMaker
from imgrec.errors import ConfigError, ImageError
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.conformal import ConformalRule
from imgrec.evaluation.decisions.costs import CostRule
from imgrec.evaluation.decisions.operating import OperatingPoint
from imgrec.evaluation.decisions.reject import RejectRule

NAMES = ("cat", "=dog", "ox")


def decisions(task: str = "single", names: tuple[str, ...] = NAMES) -> Decisions:
    rule = RejectRule(0.6, risk=0.05, delta=0.1, accepted=9, wrong=0, num_samples=9, upper_bound=0.04)
    return Decisions(task, names, reject={"risk_5": rule}, conformal={"lac_90": ConformalRule("lac", 0.9, 0.2, 99)})


def answers() -> list[Answer]:
    logits = np.array([[3, 0, 0], [0, 1, 0.5]], dtype=np.float32)
    return [
        Answer("a\n.png", None, logits[0]),
        Answer("=b.png", 1.5, None, ImageError("=b.png", "truncated", "ends, too soon")),
        Answer("c\udcff.png", None, logits[1]),
    ]


def maker(by: Decisions | None = None, **options: object) -> RowMaker:
    return RowMaker(by or decisions(), **({"top_k": 0, "with_logits": False, "with_time": False} | options))


def written(lines: CsvLines, rows: list) -> list[dict[str, str]]:
    text = (lines.header() + lines.lines(rows)).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_says_what_the_decisions_say():
    by = decisions()
    rows = maker(by).rows(answers())
    decided = by.decide(np.stack([answers()[0].logits, answers()[2].logits]))
    for row, place in ((rows[0], 0), (rows[2], 1)):
        said = decided.describe(place)
        assert row["label"] == said["label"]
        assert row["probability"] == pytest.approx(said["confidence"], rel=1e-5)
        assert row["accepted:risk_5"] is said["accepted"]["risk_5"]
        assert row["set:lac_90"] == said["sets"]["lac_90"]
        assert row["error"] is row["detail"] is None
    assert [row["accepted:risk_5"] for row in rows] == [True, None, False]
    assert (rows[1]["label"], rows[1]["error"], rows[1]["detail"]) == (None, "truncated", "ends, too soon")


def test_every_kind_of_rule_has_a_column_of_its_own():
    point = OperatingPoint("sensitivity", 0.9, (0.1, 0.9, None), 99)
    by = Decisions("single", NAMES, operating_points={"most": point}, costs={"triage": CostRule(((0, 9, 9),) * 3)})
    (row,) = maker(by).rows(answers()[:1])
    assert row["positive:most"] == ["cat"]
    assert row["cheapest:triage"] == "cat"


def test_the_most_probable_classes_are_named_with_their_probabilities():
    row = maker(top_k=3).rows(answers())[2]
    assert [row[f"label_{rank}"] for rank in (1, 2, 3)] == ["=dog", "ox", "cat"]
    assert sum(row[f"probability_{rank}"] for rank in (1, 2, 3)) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigError, match="--top-k 4, but the model knows 3 classes"):
        maker(top_k=4)


def test_a_batch_of_bad_images_alone_is_rows_too():
    assert [row["error"] for row in maker().rows(answers()[1:2])] == ["truncated"]


def test_a_line_of_csv_is_one_line_and_no_formula():
    rows = maker(with_time=True).rows(answers())
    table = maker(with_time=True)
    found = written(CsvLines(table.columns, NAMES), rows)
    assert [row["path"] for row in found] == ["a\\n.png", "'=b.png", "c\\xff.png"]
    assert found[2]["label"] == "'=dog"
    assert found[0]["set:lac_90"] == "cat"
    assert found[2]["set:lac_90"] == "'=dog;ox"
    assert [row["accepted:risk_5"] for row in found] == ["true", "", "false"]
    assert [row["time_s"] for row in found] == ["", "1.5", ""]
    assert found[1]["detail"] == "ends, too soon"
    assert len(CsvLines(table.columns, NAMES).lines(rows).splitlines()) == 3


def test_several_labels_are_one_cell_or_a_list():
    by = decisions("multilabel", ("a", "b;c", "d"))
    rows = maker(by).rows(answers())
    assert rows[0]["label"] == ["a"]
    assert rows[2]["label"] == ["b;c", "d"]
    assert written(CsvLines(maker(by).columns, by.class_names), rows)[2]["label"] == '["b;c", "d"]'
    plain = decisions("multilabel", ("a", "b", "d"))
    cells = written(CsvLines(maker(plain).columns, plain.class_names), maker(plain).rows(answers()))
    assert cells[2]["label"] == "b;d"


def test_json_keeps_names_and_logits_exactly():
    rows = maker(with_logits=True).rows(answers())
    read = [json.loads(line) for line in JsonLines().lines(rows).splitlines()]
    assert read == rows
    assert [row["path"] for row in read] == [answer.name for answer in answers()]
    assert np.array_equal(np.array(read[2]["logits"], dtype=np.float32), answers()[2].logits)


def test_parquet_has_typed_columns_and_what_a_reader_needs_to_know(tmp_path: Path):
    table = maker(with_logits=True, with_time=True)
    (tmp_path / "lines").write_bytes(JsonLines().lines(table.rows(answers())))
    write_parquet(tmp_path / "lines", tmp_path / "p.parquet", columns=table.columns, about={"temperature": 1.0})
    read = pq.read_table(tmp_path / "p.parquet")
    assert json.loads(read.schema.metadata[b"imgrec"]) == {"temperature": 1.0}
    rows = read.to_pylist()
    assert [row["path"] for row in rows] == ["a\n.png", "=b.png", "c\\xff.png"]
    assert rows[0]["accepted:risk_5"] is True
    assert rows[0]["set:lac_90"] == ["cat"]
    assert rows[1]["logits"] is None
    assert str(read.schema.field("logits").type) == "list<element: float>"


def test_counts_are_kept_as_plain_values():
    counts = Counts()
    counts.add(maker().rows(answers()))
    assert (counts.images, counts.bad, counts.rejected) == (3, {"truncated": 1}, {"risk_5": 1})
    assert Counts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts
