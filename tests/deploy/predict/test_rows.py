"""Rows of predictions, and how they are written."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imgrec.deploy.predict.formats import CsvLines, JsonLines
from imgrec.deploy.predict.parquet_file import write_parquet
from imgrec.deploy.predict.pipeline import Output, to_predictions
from imgrec.deploy.predict.rows import Counts, RowMaker
from imgrec.errors import ImageError
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.conformal import ConformalRule
from imgrec.evaluation.decisions.costs import CostRule
from imgrec.evaluation.decisions.operating import OperatingPoint
from imgrec.evaluation.decisions.reject import RejectRule

NAMES = ("cat", "=dog", "ox")


def decisions(task: str = "single", names: tuple[str, ...] = NAMES) -> Decisions:
    rule = RejectRule(0.6, risk=0.05, delta=0.1, num_accepted=9, num_errors=0, num_samples=9, upper_bound=0.04)
    return Decisions(task, names, reject={"risk_5": rule}, conformal={"lac_90": ConformalRule("lac", 0.9, 0.2, 99)})


def outputs() -> list[Output]:
    logits = np.array([[3, 0, 0], [0, 1, 0.5]], dtype=np.float32)
    return [
        Output({"path": "a\n.png"}, logits[0]),
        Output(
            {"path": "=b.png", "frame": 3, "time_s": 1.5}, None, ImageError("=b.png", "truncated", "ends, too soon")
        ),
        Output({"path": "c\udcff.png"}, logits[1]),
    ]


def maker(by: Decisions | None = None, **options: object) -> RowMaker:
    return RowMaker(by or decisions(), **({"top_k": None, "with_logits": False, "with_time": False} | options))


def written(lines: CsvLines, rows: list) -> list[dict[str, str]]:
    text = (lines.header() + lines.lines(rows)).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_has_the_keys_and_values_of_the_prediction():
    rows = maker(top_k=2).rows(outputs())
    predictions = list(to_predictions(outputs(), decisions(), top_k=2))
    for row, prediction in zip(rows, predictions, strict=True):
        known = {key: value for key, value in row.items() if value is not None}
        assert known.keys() == prediction.to_dict().keys() - {"frame", "time_s"}
        for key in known.keys() - {"confidence", "probabilities"}:
            assert known[key] == prediction.to_dict()[key]
    assert rows[0]["confidence"] == pytest.approx(predictions[0].confidence, rel=1e-5)
    assert rows[0]["probabilities"] == pytest.approx(predictions[0].probabilities, rel=1e-5)
    assert [(row["rejected"] or {}).get("risk_5") for row in rows] == [False, None, True]
    assert (rows[1]["prediction"], rows[1]["error"], rows[1]["detail"]) == (None, "truncated", "ends, too soon")


def test_every_kind_of_rule_has_a_key():
    point = OperatingPoint("sensitivity", 0.9, (0.1, 0.9, None), 99)
    by = Decisions("single", NAMES, operating_points={"most": point}, costs={"triage": CostRule(((0, 9, 9),) * 3)})
    (row,) = maker(by).rows(outputs()[:1])
    assert row["operating_points"] == {"most": ["cat"]}
    assert row["lowest_cost"] == {"triage": "cat"}
    assert row.keys().isdisjoint({"rejected", "prediction_sets"})


def test_probabilities_are_of_the_top_k_classes_most_probable_first():
    assert list(maker().rows(outputs())[2]["probabilities"]) == ["=dog", "ox", "cat"]
    assert sum(maker().rows(outputs())[2]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert list(maker(top_k=1).rows(outputs())[2]["probabilities"]) == ["=dog"]
    assert len(maker(top_k=9).rows(outputs())[2]["probabilities"]) == 3


def test_a_batch_of_bad_images_alone_is_rows_too():
    assert [row["error"] for row in maker().rows(outputs()[1:2])] == ["truncated"]


def test_a_row_of_csv_is_one_line_without_formulas():
    rows = maker(with_time=True).rows(outputs())
    table = maker(with_time=True)
    found = written(CsvLines(table.columns, NAMES), rows)
    assert [row["path"] for row in found] == ["a\\n.png", "'=b.png", "c\\xff.png"]
    assert found[2]["prediction"] == "'=dog"
    assert found[0]["prediction_sets:lac_90"] == "cat"
    assert found[2]["prediction_sets:lac_90"] == "'=dog;ox"
    assert [row["rejected:risk_5"] for row in found] == ["false", "", "true"]
    assert [(row["frame"], row["time_s"]) for row in found] == [("", ""), ("3", "1.5"), ("", "")]
    assert json.loads(found[2]["probabilities"]) == rows[2]["probabilities"]
    assert found[1]["detail"] == "ends, too soon"
    assert len(CsvLines(table.columns, NAMES).lines(rows).splitlines()) == 3


def test_several_labels_are_one_cell_or_a_list():
    by = decisions("multilabel", ("a", "b;c", "d"))
    rows = maker(by).rows(outputs())
    assert rows[0]["prediction"] == ["a"]
    assert rows[2]["prediction"] == ["b;c", "d"]
    assert written(CsvLines(maker(by).columns, by.class_names), rows)[2]["prediction"] == '["b;c", "d"]'
    plain = decisions("multilabel", ("a", "b", "d"))
    cells = written(CsvLines(maker(plain).columns, plain.class_names), maker(plain).rows(outputs()))
    assert cells[2]["prediction"] == "b;d"


def test_json_keeps_names_and_logits_exactly():
    rows = maker(with_logits=True).rows(outputs())
    read = [json.loads(line) for line in JsonLines().lines(rows).splitlines()]
    assert read == rows
    assert [row["path"] for row in read] == [output.known["path"] for output in outputs()]
    assert np.array_equal(np.array(read[2]["logits"], dtype=np.float32), outputs()[2].logits)


def test_parquet_has_column_types_and_metadata(tmp_path: Path):
    table = maker(with_logits=True, with_time=True)
    (tmp_path / "lines").write_bytes(JsonLines().lines(table.rows(outputs())))
    write_parquet(tmp_path / "lines", tmp_path / "p.parquet", columns=table.columns, about={"temperature": 1.0})
    read = pq.read_table(tmp_path / "p.parquet")
    assert json.loads(read.schema.metadata[b"imgrec"]) == {"temperature": 1.0}
    rows = read.to_pylist(maps_as_pydicts="strict")
    assert [row["path"] for row in rows] == ["a\n.png", "=b.png", "c\\xff.png"]
    assert rows[0]["rejected"] == {"risk_5": False}
    assert rows[0]["prediction_sets"] == {"lac_90": ["cat"]}
    assert list(rows[2]["probabilities"]) == ["=dog", "ox", "cat"]
    assert (rows[1]["frame"], rows[1]["rejected"], rows[1]["probabilities"]) == (3, None, None)
    assert rows[1]["logits"] is None
    assert str(read.schema.field("logits").type) == "list<element: float>"


def test_counts_are_kept_as_plain_values():
    counts = Counts()
    counts.add(maker().rows(outputs()))
    assert (counts.images, counts.bad, counts.rejected) == (3, {"truncated": 1}, {"risk_5": 1})
    assert Counts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts
