"""Images that cannot be used: counted once, bounded, listed."""

import hashlib
import json
import logging
from pathlib import Path

import pytest

from imgrec.data.loading.quarantine import MAX_LOGGED, REPORT_NAME, Quarantine, check_max_bad
from imgrec.errors import ConfigError, DataError, ImageError

SIZES = {"train": 200, "val": 100, "test": 50}


def errors(count: int, *, start: int = 0) -> list[ImageError]:
    return [ImageError(f"photos/{i}.jpg", "truncated", "the file ends early") for i in range(start, start + count)]


def quarantine(folder: Path | None = None, *, max_bad: float = 0.01) -> Quarantine:
    return Quarantine(SIZES, max_bad=max_bad, folder=folder)


def test_a_share_counts_within_each_split():
    excluded = quarantine()
    excluded.add("train", errors(2))
    excluded.add("val", errors(1))
    assert len(excluded) == 3
    with pytest.raises(DataError, match=r"2 of 100 val images cannot be used, at most 1 .*data\.max_bad=0\.01"):
        excluded.add("val", errors(1, start=5))


def test_a_whole_number_is_a_number_of_images():
    excluded = quarantine(max_bad=3)
    excluded.add("val", errors(3))
    with pytest.raises(DataError, match="at most 3"):
        excluded.add("val", errors(1, start=7))


def test_none_of_the_test_split_may_be_excluded():
    with pytest.raises(DataError, match=r"1 of 50 test images .* none of the test split .*photos/0\.jpg.*truncated"):
        quarantine(max_bad=10).add("test", errors(1))


def test_an_image_met_in_every_epoch_counts_once():
    excluded = quarantine()
    for _ in range(9):
        excluded.add("train", errors(2))
    assert len(excluded) == 2


def test_the_report_lists_every_image_with_reason_and_digest(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"half")
    excluded = quarantine(tmp_path)
    found = [ImageError(str(tmp_path / "broken.jpg"), "not_an_image", "no"), ImageError("gone.jpg", "unreadable", "?")]
    excluded.add("train", found)
    report = json.loads((tmp_path / REPORT_NAME).read_text())
    assert report["num_files"] == SIZES
    assert report["num_excluded"] == 2
    by_code = {entry["code"]: entry for entry in report["excluded"]}
    assert by_code["not_an_image"] == {
        "split": "train",
        "path": str(tmp_path / "broken.jpg"),
        "code": "not_an_image",
        "detail": "no",
        "sha256": hashlib.sha256(b"half").hexdigest(),
    }
    assert by_code["unreadable"]["sha256"] is None


def test_the_report_is_written_before_the_run_ends_for_too_many(tmp_path):
    with pytest.raises(DataError, match=REPORT_NAME):
        quarantine(tmp_path).add("train", errors(20))
    assert json.loads((tmp_path / REPORT_NAME).read_text())["num_excluded"] == 20


def test_messages_name_the_first_images_only(caplog):
    excluded = quarantine(max_bad=100)
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        excluded.add("train", errors(MAX_LOGGED + 5))
        excluded.add("train", errors(5, start=90))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "Excluded from train: photos/0.jpg: the file ends early [truncated]"
    assert len(lines) == MAX_LOGGED + 1
    assert REPORT_NAME in lines[-1]


@pytest.mark.parametrize("value", [0, 0.5, 1, 25])
def test_a_share_or_a_number_is_allowed(value):
    check_max_bad(value)


@pytest.mark.parametrize("value", [-1, 1.5, "many", None])
def test_anything_else_is_refused(value):
    with pytest.raises(ConfigError, match=r"data\.max_bad"):
        check_max_bad(value)
