"""imgrec.data.sources.records: tables of four kinds become rows that know their line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrec.data.sources.records import read_records
from imgrec.errors import DataError

ROWS = [("line 2", {"path": "a.png", "label": "cat"}), ("line 3", {"path": "b.png", "label": "dog"})]


def read(tmp_path, name, content, encoding="utf-8"):
    (tmp_path / name).write_bytes(content.encode(encoding))
    return read_records(tmp_path / name)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(tmp_path, delimiter):
    content = "path,label\na.png,cat\nb.png,dog\n".replace(",", delimiter)
    assert read(tmp_path, "a.csv", content).rows == ROWS


def test_a_tsv_is_separated_by_tabs_whatever_its_header(tmp_path):
    table = read(tmp_path, "a.tsv", "path\tlabel, in words, of three\na.png\tcat\n")
    assert table.columns == ["path", "label, in words, of three"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_known(tmp_path, end):
    assert read(tmp_path, "a.csv", f"path,label{end}a.png,cat{end}b.png,dog{end}").rows == ROWS


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert read(tmp_path, "a.csv", "path,label\na.png,cat\n", "utf-8-sig").columns == ["path", "label"]


def test_blank_lines_are_passed_over_and_counted(tmp_path):
    table = read(tmp_path, "a.csv", "path,label\n\na.png,cat\n,\n\nb.png,dog\n\n")
    assert [place for place, _ in table.rows] == ["line 3", "line 6"]


def test_a_quoted_cell_over_two_lines_is_placed_where_it_begins(tmp_path):
    table = read(tmp_path, "a.csv", 'path,label\n"a\nb.png",cat\nc.png,dog\n')
    assert [(place, row["path"]) for place, row in table.rows] == [("line 2", "a\nb.png"), ("line 4", "c.png")]


def test_a_line_with_too_many_or_too_few_fields_is_a_problem_with_its_line(tmp_path):
    table = read(tmp_path, "a.csv", "path,label\na.png,cat,2\nb.png\nc.png,dog\n")
    assert table.problems == [
        "line 2: 3 fields, but the header has 2",
        "line 3: 1 fields, but the header has 2",
    ]
    assert len(table.rows) == 1


def test_json_lines_keep_their_types_and_lines(tmp_path):
    content = json.dumps({"path": "a.png", "label": 3}) + "\n\n" + json.dumps({"path": "b.png", "label": ["x", "y"]})
    table = read(tmp_path, "a.jsonl", content)
    assert table.rows == [("line 1", {"path": "a.png", "label": 3}), ("line 3", {"path": "b.png", "label": ["x", "y"]})]
    assert table.columns == ["path", "label"]


def test_a_line_that_is_no_json_object_is_a_problem_with_its_line(tmp_path):
    table = read(tmp_path, "a.jsonl", '{"path": \n["a.png"]\n{"path": "b.png"}\n')
    assert [problem[:20] for problem in table.problems] == ["line 1: not JSON (Ex", "line 2: a JSON objec"]
    assert len(table.rows) == 1


def test_parquet_rows_are_counted_from_one(tmp_path):
    pq.write_table(pa.table({"path": ["a.png", "b.png"], "label": ["cat", "dog"]}), tmp_path / "a.parquet")
    rows = read_records(tmp_path / "a.parquet").rows
    assert rows == [(place.replace("line 2", "row 1").replace("line 3", "row 2"), row) for place, row in ROWS]


def test_a_header_that_names_a_column_twice_is_an_error(tmp_path):
    with pytest.raises(DataError, match="names a column twice: path, path"):
        read(tmp_path, "a.csv", "path,path\na,b\n")


@pytest.mark.parametrize(("name", "content"), [("a.csv", ""), ("a.csv", "path,label\n"), ("a.jsonl", "\n\n")])
def test_a_table_without_rows_is_an_error(tmp_path, name, content):
    with pytest.raises(DataError, match="has no rows"):
        read(tmp_path, name, content)


def test_text_that_is_not_utf8_is_an_error_that_says_what_to_save(tmp_path):
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 15\)\. Save it as CSV UTF-8"):
        read(tmp_path, "a.csv", "path,label\na.pné,cat\n", "latin-1")


def test_a_file_that_is_no_parquet_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path, "a.parquet", "path,label\n")


def test_a_cell_without_end_is_an_error_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"a.csv line 3: field larger than field limit"):
        read(tmp_path, "a.csv", 'path,label\na.png,cat\n"' + "b" * 200_000)


def test_an_unknown_ending_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(DataError, match=r"ends in one of \.csv, .*\.jsonl, .*\.parquet"):
        read(tmp_path, "a.xlsx", "")


def test_an_absent_file_is_an_error_with_the_nearest_name(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(DataError, match=r"no such file\. Did you mean 'labels.csv'"):
        read_records(tmp_path / "label.csv")
    with pytest.raises(DataError, match=r"no such file\.$"):
        read_records(tmp_path / "gone" / "label.csv")
