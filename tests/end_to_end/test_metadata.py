"""Metadata of images: from the columns of a table, through splits, to the predictions."""

import numpy as np
import pytest
from PIL import Image

from imgrec.data.samples import Samples, Splits
from imgrec.data.sources.table import read_table
from imgrec.data.splits.join import pool
from imgrec.errors import DataError
from imgrec.evaluation.predictions.collect import predict
from imgrec.evaluation.predictions.parquet import read_parquet, write_parquet
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer
from imgrec.training.trainer import make_trainer
from small_run import Noise, noise, small_net

HEADER = "path,label,site,age,note"
LINES = ["0.png,a,north,31,x", "1.png,b,,47.5,w", "2.png,a,south,,y", "3.png,b,north,20,z"]


@pytest.fixture
def table(tmp_path):
    for place in range(4):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{place}.png")
    path = tmp_path / "table.csv"
    path.write_text("\n".join([HEADER, *LINES]), encoding="utf-8")
    return path


def columns_of(table, **options):
    splits = read_table(test=str(table), **options)
    assert splits.test is not None
    return splits.test.columns


def test_no_column_is_carried_along_unasked(table):
    assert columns_of(table) == {}


def test_named_columns_are_texts_or_numbers_with_gaps(table):
    found = columns_of(table, metadata_columns=["site", "age"])
    assert found["site"] == ["north", "", "south", "north"]
    np.testing.assert_array_equal(found["age"], [31, 47.5, np.nan, 20])


def test_others_are_all_columns_without_another_role(table):
    assert list(columns_of(table, metadata_columns="others")) == ["site", "age", "note"]
    assert list(columns_of(table, metadata_columns="others", group_column="note")) == ["site", "age"]


def test_a_column_of_infinity_or_of_nothing_is_text(table):
    table.write_text("path,label,size,empty\n0.png,a,inf,\n1.png,b,3,\n", encoding="utf-8")
    found = columns_of(table, metadata_columns="others")
    assert (found["size"], found["empty"]) == (["inf", "3"], ["", ""])


def test_a_column_that_is_not_there_is_named_with_the_nearest(table):
    with pytest.raises(DataError, match=r"no column 'sit', which data\.metadata_columns names\. Did you mean 'site'"):
        columns_of(table, metadata_columns=["sit"])


def test_a_split_keeps_columns(table):
    lines = [f"{i}.png,{'ab'[i % 2]},site {i},{i},x" for i in range(40)]
    for i in range(4, 40):
        Image.new("RGB", (9, 9), (i, i, i)).save(table.parent / f"{i}.png")
    table.write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    splits = read_table(path=str(table), metadata_columns=["site", "age"], val_fraction=0.25, test_fraction=0.25)
    for samples in (splits.train, splits.val, splits.test):
        assert samples is not None
        numbers = [int(name.rsplit("/", 1)[-1].removesuffix(".png")) for name in samples.names]
        assert list(samples.columns["age"]) == numbers
        assert list(samples.columns["site"]) == [f"site {number}" for number in numbers]


def with_columns(prefix, columns):
    samples = noise(prefix, 3)
    return Samples(samples.names, samples.images, samples.labels, columns=columns)


def test_a_pool_keeps_what_all_parts_have():
    one = with_columns("b", {"age": np.array([1.0, 2, 3]), "site": ["x", "y", ""], "only": ["u"] * 3})
    two = with_columns("a", {"age": np.array([4.0, np.nan, 6]), "site": ["v", "w", "z"]})
    found = pool([one, two])
    assert list(found.columns) == ["age", "site"]
    np.testing.assert_array_equal(found.columns["age"], [4, np.nan, 6, 1, 2, 3])
    assert found.columns["site"] == ["v", "w", "z", "x", "y", ""]


def test_a_column_that_is_text_in_one_part_is_text_in_the_pool():
    parts = with_columns("b", {"age": ["old", "", "3"]}), with_columns("a", {"age": np.array([4.0, np.nan, 6.5])})
    assert pool(parts).columns["age"] == ["4", "", "6.5", "old", "", "3"]


def test_a_column_of_another_length_is_our_own_fault():
    with pytest.raises(AssertionError):
        with_columns("a", {"age": ["x"]})


class Described(Noise):
    def read(self, class_names):
        samples = noise("test", 5)
        columns = {"age": np.arange(5.0), "site": list("abcde")}
        return Splits(["a", "b", "c"], test=Samples(samples.names, samples.images, samples.labels, columns=columns))


def test_predictions_carry_metadata_and_measured_properties():
    trainer = make_trainer(gpus=0, precision="32-true", logger=False, enable_progress_bar=False)
    data = Described(num_workers=0)
    found = predict(trainer, Scorer(small_net()), data=data, split="test", provenance={}).columns
    assert list(found)[:3] == ["meta:age", "meta:site", "image:height"]
    assert found["meta:site"] == list("abcde")
    assert found["image:aspect"].tolist() == [1.0] * 5
    assert found["image:brightness"].dtype == np.float64


def make_predictions(columns):
    logits, labels = np.zeros((3, 2), dtype=np.float32), np.zeros(3, dtype=np.int64)
    return Predictions(["0.png", "1.png", "2.png"], labels, logits, ["a", "b"], columns=columns)


def test_columns_come_back_from_the_file_as_they_were(tmp_path):
    columns = {"meta:age": np.array([1.5, np.nan, -3]), "meta:site": ["a", "", "\udcff<b>"]}
    write_parquet(make_predictions(columns), tmp_path / "p.parquet")
    found = read_parquet(tmp_path / "p.parquet").columns
    np.testing.assert_array_equal(found["meta:age"], columns["meta:age"])
    assert found["meta:site"] == ["a", "", "\\xff<b>"]


def test_a_column_of_another_kind_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_parquet(make_predictions({"meta:age": np.zeros(3)}), tmp_path / "p.parquet")
    whole = pq.read_table(tmp_path / "p.parquet")
    place = whole.column_names.index("meta:age")
    pq.write_table(whole.set_column(place, "meta:age", pa.array([True] * 3)), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="column meta:age holds bool"):
        read_parquet(tmp_path / "p.parquet")
