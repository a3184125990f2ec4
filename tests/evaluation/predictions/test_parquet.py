"""The Parquet file of predictions: exact when read again, readable by others, and clear about what is wrong."""

import json
import resource
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from imgrec.errors import DataError, RunFolderError
from imgrec.evaluation.predictions.parquet import FORMAT, read_parquet, write_parquet
from imgrec.evaluation.predictions.predictions import Predictions


def make_predictions(**changes):
    random = np.random.default_rng(0)
    columns = {
        "names": [f"ants/{i}.png" for i in range(6)],
        "labels": np.array([0, 1, 2, 2, 1, 0]),
        "logits": random.normal(size=(6, 3)).astype(np.float32),
        "class_names": ["ant", "bee", "wasp"],
        "provenance": {"checkpoint": "best.ckpt"},
    }
    return Predictions(**{**columns, **changes})


def make_multilabel(**changes):
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.uint8)
    return make_predictions(**{"labels": labels, "task": "multilabel", **changes})


def rewrite(path, change):
    """Write a table, let `change` make another of its pyarrow table, and write that in its place."""
    write_parquet(make_predictions(), path)
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def replace_column(name, values):
    def change(table):
        return table.set_column(table.column_names.index(name), name, values)

    return change


def change_description(**changes):
    def change(table):
        about = {**json.loads(table.schema.metadata[b"imgrec"]), **changes}
        return table.replace_schema_metadata({"imgrec": json.dumps(about)})

    return change


@pytest.mark.parametrize("predictions", [make_predictions(), make_multilabel()], ids=["single", "multilabel"])
def test_a_table_comes_back_exactly(predictions, tmp_path):
    write_parquet(predictions, tmp_path / "p.parquet")
    again = read_parquet(tmp_path / "p.parquet")
    assert again.names == predictions.names
    assert np.array_equal(again.labels, predictions.labels) and again.labels.dtype == predictions.labels.dtype
    assert np.array_equal(again.logits, predictions.logits) and again.logits.dtype == np.float32
    assert again.class_names == predictions.class_names
    assert again.task == predictions.task
    assert again.groups is None
    assert again.provenance == {"checkpoint": "best.ckpt"}


def test_groups_come_back(tmp_path):
    groups = ["p1", "p1", "p2", "", "p3", "Ärzte"]
    write_parquet(make_predictions(groups=groups), tmp_path / "p.parquet")
    assert read_parquet(tmp_path / "p.parquet").groups == groups


def test_names_that_are_awkward_or_not_utf8_come_back(tmp_path):
    names = ["a\nb.png", "caf\udce9.png", "日本.png", "\ud800.png", "caf\\xe9.png", "=1+1"]
    write_parquet(make_predictions(names=names), tmp_path / "p.parquet")
    assert read_parquet(tmp_path / "p.parquet").names == names


def test_other_tools_see_names_that_are_not_utf8_written_out(tmp_path):
    names = ["caf\udce9.png", *"bcdef"]
    write_parquet(make_predictions(names=names), tmp_path / "p.parquet")
    assert pq.read_table(tmp_path / "p.parquet")["path"].to_pylist() == [r"caf\xe9.png", *"bcdef"]


@pytest.mark.parametrize("make", [make_predictions, make_multilabel])
def test_class_names_that_are_not_utf8_come_back(make, tmp_path):
    predictions = make(class_names=["caf\udce9", "a\nb", "日本"])
    write_parquet(predictions, tmp_path / "p.parquet")
    again = read_parquet(tmp_path / "p.parquet")
    assert again.class_names == ["caf\udce9", "a\nb", "日本"]
    assert np.array_equal(again.labels, predictions.labels)


def test_any_tool_can_read_the_columns_of_one_label(tmp_path):
    predictions = make_predictions()
    write_parquet(predictions, tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    expected = softmax(predictions.logits.astype(np.float64), axis=1)
    assert table.column_names == ["path", "label", "prediction", "confidence", "logits", "probabilities", "group"]
    assert table["label"].to_pylist() == ["ant", "bee", "wasp", "wasp", "bee", "ant"]
    assert table["prediction"].to_pylist() == [predictions.class_names[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"].to_numpy(), expected.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(table["probabilities"].to_pylist(), expected, rtol=1e-12)


def test_several_labels_are_lists_of_names_with_the_confidence_of_each_prediction(tmp_path):
    logits = np.array([[2, -1, 3], [-1, -1, -1]], dtype=np.float32)
    labels = np.array([[1, 0, 1], [0, 1, 0]], dtype=np.uint8)
    write_parquet(make_multilabel(names=["a", "b"], logits=logits, labels=labels), tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["label"].to_pylist() == [["ant", "wasp"], ["bee"]]
    assert table["prediction"].to_pylist() == [["ant", "wasp"], []]
    np.testing.assert_allclose(table["confidence"].to_pylist()[0], 1 / (1 + np.exp([-2.0, -3.0])))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match=r"p.parquet cannot be read as a Parquet file: .*No such file"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1 and more"])
def test_a_damaged_file_is_said(content, tmp_path):
    (tmp_path / "p.parquet").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("content", [b"", b"path,label\n1,2\n"])
def test_a_file_that_is_not_parquet_is_said(content, tmp_path):
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.csv is not a Parquet file\. Give the predictions\.parquet"):
        read_parquet(tmp_path / "p.csv")


def test_a_checkpoint_is_not_yet_evaluated(tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"is a checkpoint\. Evaluate it first: python evaluate\.py checkpoint=.*best"):
        read_parquet(tmp_path / "best.ckpt")


def test_a_truncated_table_is_said(tmp_path):
    write_parquet(make_predictions(), tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a Parquet file"):
        read_parquet(tmp_path / "p.parquet")


def test_a_table_by_somebody_else_is_said(tmp_path):
    pq.write_table(pa.table({"path": ["a"], "label": ["b"]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p.parquet: not a predictions table of imgrec"):
        read_parquet(tmp_path / "p.parquet")


def test_another_layout_names_both_versions(tmp_path):
    rewrite(tmp_path / "p.parquet", change_description(format=FORMAT - 1))
    with pytest.raises(DataError, match=rf"the table has format {FORMAT - 1}, this imgrec reads format {FORMAT}\. Run"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("changes", [{"task": "boxes"}, {"class_names": "ab"}, {"class_names": [1]}, {"provenance": 1}])
def test_a_damaged_description_is_said(changes, tmp_path):
    rewrite(tmp_path / "p.parquet", change_description(**changes))
    with pytest.raises(DataError, match="metadata `imgrec` of the table is damaged"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("text", ["{", "[]", "{}", "7"])
def test_a_description_that_is_not_ours_is_said(text, tmp_path):
    rewrite(tmp_path / "p.parquet", lambda table: table.replace_schema_metadata({"imgrec": text}))
    with pytest.raises(DataError, match="metadata `imgrec` of the table is damaged"):
        read_parquet(tmp_path / "p.parquet")


def test_missing_columns_are_named(tmp_path):
    rewrite(tmp_path / "p.parquet", lambda table: table.drop_columns(["label", "group"]))
    with pytest.raises(DataError, match="no column label and no column group"):
        read_parquet(tmp_path / "p.parquet")


def test_a_label_outside_the_classes_is_named_with_the_nearest(tmp_path):
    rewrite(tmp_path / "p.parquet", replace_column("label", pa.array(["ant", "bees", "ant", "ant", "ant", "ant"])))
    with pytest.raises(DataError, match=r"label 'bees' is not one of the table's 3 classes. Did you mean 'bee'"):
        read_parquet(tmp_path / "p.parquet")


def test_labels_of_another_kind_are_said(tmp_path):
    rewrite(tmp_path / "p.parquet", replace_column("label", pa.array([0, 1, 2, 2, 1, 0])))
    with pytest.raises(DataError, match="column label holds int64 with 0 nulls, not string"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("column", ["path", "label", "group"])
def test_a_missing_entry_is_said(column, tmp_path):
    values = pa.array(["ant", None, "ant", "ant", "ant", "ant"])
    rewrite(tmp_path / "p.parquet", replace_column(column, values))
    with pytest.raises(DataError, match=f"column {column} holds string with 1 nulls"):
        read_parquet(tmp_path / "p.parquet")


def test_rows_of_another_width_are_said(tmp_path):
    rewrite(tmp_path / "p.parquet", change_description(class_names=["ant", "bee", "wasp", "fly"]))
    with pytest.raises(DataError, match=r"column logits holds fixed_size_list.*\[3\], not 4 numbers \(float\) a row"):
        read_parquet(tmp_path / "p.parquet")


def test_numbers_of_another_type_are_said(tmp_path):
    rewrite(tmp_path / "p.parquet", replace_column("logits", pa.array([["a"]] * 6)))
    with pytest.raises(DataError, match=r"column logits holds list.*string.*, not 3 numbers"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("hole", [None, [0.0, None, 0.0]])
def test_missing_numbers_are_said(hole, tmp_path):
    rows = pa.array([[0.0, 0.0, 0.0]] * 5 + [hole], pa.list_(pa.float32(), 3))
    rewrite(tmp_path / "p.parquet", replace_column("logits", rows))
    with pytest.raises(DataError, match="column logits has nulls"):
        read_parquet(tmp_path / "p.parquet")


def test_exact_names_of_another_type_are_said(tmp_path):
    rewrite(tmp_path / "p.parquet", lambda table: table.append_column("path_exact", pa.array(["a"] * 6)))
    with pytest.raises(DataError, match="column path_exact holds string, not binary"):
        read_parquet(tmp_path / "p.parquet")


def test_logits_that_are_nan_are_said(tmp_path):
    rows = pa.array([[0.0, 0.0, 0.0]] * 5 + [[0.0, float("nan"), 0.0]], pa.list_(pa.float32(), 3))
    rewrite(tmp_path / "p.parquet", replace_column("logits", rows))
    with pytest.raises(DataError, match=r"p.parquet: The logits of 1 of 6 images are NaN or infinite, first ants/5"):
        read_parquet(tmp_path / "p.parquet")


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [float("nan"), 0.0, 0.0]])
def test_probabilities_that_the_logits_do_not_give_are_said(row, tmp_path):
    def change(table):
        rows = [*table["probabilities"].to_pylist()[:4], row, row]
        return replace_column("probabilities", pa.array(rows, pa.list_(pa.float64(), 3)))(table)

    rewrite(tmp_path / "p.parquet", change)
    with pytest.raises(DataError, match=r"probabilities of 2 rows do not follow from their logits, first ants/4.png"):
        read_parquet(tmp_path / "p.parquet")


def test_a_table_that_does_not_fit_on_the_disk_leaves_the_old_file_and_no_litter(tmp_path):
    write_parquet(make_predictions(), tmp_path / "p.parquet")
    old = (tmp_path / "p.parquet").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))  # no file may grow beyond this
    try:
        with pytest.raises(RunFolderError, match=r"Cannot write .*p\.parquet: .* is unchanged\. Free some space"):
            write_parquet(make_predictions(), tmp_path / "p.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("p.parquet", old)]


def test_pyarrow_is_not_imported_until_a_table_is_written():
    heavy = {"pyarrow", "torch", "matplotlib", "sklearn", "pandas"}
    modules = "imgrec.evaluation.predictions.parquet, imgrec.evaluation.metrics.compute"
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_pandas_stays_out_of_writing_and_reading(tmp_path):
    code = """
import sys
from pathlib import Path
import numpy as np
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.parquet import read_parquet, write_parquet
names, classes, logits = ["a", "b"], ["x", "y"], np.eye(2, dtype=np.float32)
columns = {"meta:a": np.array([1.0, np.nan]), "meta:b": ["", "t"]}
one = Predictions(names, np.array([0, 1]), logits, classes, groups=["g", "h"], columns=columns)
many = Predictions(names, np.eye(2, dtype=np.uint8), logits, classes, "multilabel")
for predictions in (one, many):
    write_parquet(predictions, Path("p.parquet"))
    read_parquet(Path("p.parquet"))
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "False\n"
