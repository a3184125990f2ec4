"""The look at all images before training."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgrec.auditing import before_training as data_check
from imgrec.auditing.before_training import check_data, facts_store
from imgrec.data.images.collections import ArrayImages
from imgrec.data.prepared.build import Source, prepare
from imgrec.data.prepared.shrink import Shrink
from imgrec.data.samples import Samples, Splits
from imgrec.data.sources import FolderData, PreparedData
from imgrec.errors import DataError
from small_run import Noise, noise


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Class folders of train, val and test with 12, 4 and 4 different images a class."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for name in ("ant", "bee"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for index in range(count):
                coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                image = Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC)
                image.save(tmp_path / "photos" / split / name / f"{index}.png")
    return tmp_path / "photos"


def folder_data(root: Path, **changes: Any) -> FolderData:
    return FolderData(root=str(root), preprocess=lambda image: image, **{"num_workers": 0, **changes})


def test_clean_images_pass_silently(root, caplog):
    data = folder_data(root)
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        check_data(data)
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [24, 8, 8]
    assert caplog.records == []


def test_what_cannot_be_read_is_left_out_and_reported(root, tmp_path):
    (root / "train" / "ant" / "3.png").write_bytes(b"<html>not found</html>")
    before = sorted(root.rglob("*"))
    data = folder_data(root, max_bad=1)
    data.quarantine.folder = tmp_path / "run"
    check_data(data)
    names = data.split("train").names
    assert len(names) == 23
    assert not any(name.endswith("ant/3.png") for name in names)
    assert data.split("train").labels.tolist() == [0] * 11 + [1] * 12
    (entry,) = json.loads((tmp_path / "run" / "data_report.json").read_text())["excluded"]
    assert (entry["code"], entry["split"]) == ("not_an_image", "train")
    assert sorted(root.rglob("*")) == before
    assert (root / "train" / "ant" / "3.png").read_bytes() == b"<html>not found</html>"


def test_more_than_may_be_left_out_ends_the_run(root):
    (root / "train" / "ant" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 24 train images cannot be used, at most 0"):
        check_data(folder_data(root))


def test_a_broken_test_image_ends_the_run(root):
    (root / "test" / "bee" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 8 test images"):
        check_data(folder_data(root, max_bad=5))


def copy_across(root: Path) -> None:
    """The same pixels in another file format, so in other bytes."""
    Image.open(root / "train" / "ant" / "0.png").save(root / "test" / "bee" / "copy.bmp")


def test_the_same_pixels_in_two_splits_are_an_error_that_names_both(root):
    copy_across(root)
    with pytest.raises(DataError, match=r"1 pair of images is .*ant/0\.png \(train\) = .*bee/copy\.bmp \(test\)"):
        check_data(folder_data(root))


def test_leaks_can_be_a_warning_or_ignored(root, caplog):
    copy_across(root)
    for leaks, count in (("warn", 1), ("ignore", 0)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="imgrec"):
            check_data(folder_data(root, leaks=leaks))
        assert sum("identical across two splits" in record.getMessage() for record in caplog.records) == count


def test_the_same_image_twice_in_one_split_is_no_leak(root):
    Image.open(root / "train" / "ant" / "0.png").save(root / "train" / "ant" / "copy.bmp")
    check_data(folder_data(root))


def test_a_near_duplicate_in_another_split_is_a_warning_with_the_pair(root, caplog):
    image = Image.open(root / "train" / "ant" / "0.png")
    image.resize((96, 80), Image.Resampling.BICUBIC).save(root / "val" / "ant" / "larger.png")
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        check_data(folder_data(root))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "1 pair of images is nearly identical across two splits" in line
    assert "ant/0.png (train)" in line
    assert "ant/larger.png (val)" in line


def test_beyond_the_limit_files_are_checked_only_on_request(root, monkeypatch, caplog):
    (root / "test" / "bee" / "0.png").write_bytes(b"")
    monkeypatch.setattr(data_check, "MAX_CHECKED", 5)
    with caplog.at_level(logging.INFO, logger="imgrec"):
        check_data(folder_data(root))
    assert "40 files: too many to check before training" in caplog.text
    check_data(folder_data(root, check=False))
    with pytest.raises(DataError, match="test images"):
        check_data(folder_data(root, check=True))


class Shared(Noise):
    """Images in memory of which one is in training and in the test."""

    def read(self, class_names: Sequence[str] | None) -> Splits:
        train, test = noise("train", 12), noise("test", 6)
        images = np.stack([test.images[i] for i in range(6)])
        images[4] = train.images[7]
        leaky = Samples(names=test.names, images=ArrayImages(images), labels=test.labels)
        arrays = ArrayImages(np.stack([train.images[i] for i in range(12)]))
        return Splits(["a", "b", "c"], train=Samples(train.names, arrays, train.labels), test=leaky)


def test_images_in_memory_are_compared_too():
    with pytest.raises(DataError, match=r"train/7 \(train\) = test/4 \(test\)"):
        check_data(Shared())


def test_facts_are_kept_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("IMGREC_CACHE", str(tmp_path))
    assert facts_store() == tmp_path / "facts.sqlite"
    monkeypatch.delenv("IMGREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert facts_store() == tmp_path / "cache" / "imgrec" / "facts.sqlite"


def prepared(root: Path, output: Path) -> PreparedData:
    """The images of `root` as `imgrec prepare` leaves them."""
    splits = FolderData(root=str(root), preprocess=lambda image: image).splits
    parts = {name: getattr(splits, name) for name in ("train", "val", "test")}
    prepare(Source(str(root), parts, splits.class_names), output, shrink=Shrink(32), workers=1, max_bad=5)
    return PreparedData(root=str(output), preprocess=lambda image: image, max_bad=2)


def test_prepared_images_are_compared_by_what_is_known_of_them(root, tmp_path):
    copy_across(root)
    with pytest.raises(DataError, match=r"1 pair of images is .*ant/0\.png \(train\) = .*bee/copy\.bmp \(test\)"):
        check_data(prepared(root, tmp_path / "prepared"))


def test_what_could_not_be_prepared_is_left_out(root, tmp_path):
    (root / "train" / "ant" / "3.png").write_bytes(b"")
    data = prepared(root, tmp_path / "prepared")
    assert len(data.split("train")) == 24
    check_data(data)
    assert len(data.split("train")) == 23
    assert len(data.quarantine) == 1
