"""`imgrec.audit` from Python: what it takes, what it returns, what it raises, and what it leaves unchanged."""

import logging
import os
import random
import signal
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import imgrec
from audit_data import sample_image, write_folders, write_leaking_photos
from imgrec.auditing.findings import Audit
from imgrec.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two splits of two classes, one image in both splits; the working directory is the folder above."""
    monkeypatch.chdir(tmp_path)
    return write_leaking_photos(tmp_path)


def audit(*data: str | Path, **options) -> Audit:
    return imgrec.audit(*data, **{"workers": 1, "labels": False} | options)


def test_findings_are_cases_with_the_most_severe_first(photos):
    found = audit("photos")
    first = found.findings[0]
    assert (first.severity, first.text) == ("error", "the same image in train and test")
    assert {found.paths[row] for row in first.rows} == {"train/dog/1.png", "test/dog/leak.png"}
    assert sorted(first.entry) == ["test/dog/leak.png", "train/dog/1.png"]
    assert found.fails("error")


def test_a_path_and_overrides_name_the_same_data(photos):
    expected = [case.text for case in audit("photos").findings]
    assert [case.text for case in audit(photos).findings] == expected
    assert [case.text for case in audit("data=folder", "data.root=photos").findings] == expected


def test_a_table_is_read_by_its_overrides(photos):
    rows = [f"{path},{path.parent.name},{path.parts[-3]}" for path in sorted(photos.rglob("*.png"))]
    Path("labels.csv").write_text("path,kind,split\n" + "\n".join(rows) + "\n")
    found = audit("labels.csv", "data.label_column=kind", "data.split_column=split")
    assert len(found.facts) == 17
    assert found.findings[0].text == "the same image in train and test"


def test_without_output_nothing_is_written(photos):
    before = sorted(photos.parent.rglob("*"))
    audit("photos")
    assert sorted(photos.parent.rglob("*")) == before


def test_the_report_is_written_where_output_says(photos):
    audit("photos", output="report")
    assert {"audit.html", "audit.json", "plan.csv"} <= {path.name for path in Path("report").iterdir()}


def test_unsplit_images_without_labels_are_audited(tmp_path):
    write_folders(tmp_path / "flat", {"a.png": sample_image(1), "b.png": sample_image(1), "c.png": sample_image(2)})
    found = audit(tmp_path / "flat", labels=True)
    assert [case.text for case in found.findings] == ["2 copies"]
    assert {"leaks", "suspected_labels"} <= set(found.not_run)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ([], {}, "Name the data"),
        (["photos", "photos"], {}, "One folder or table at a time"),
        (["photos"], {"workers": 0}, "workers=0"),
        (["photos"], {"seed": -1}, "seed=-1"),
        (["photos"], {"quik": True}, "no setting 'quik'. Did you mean 'quick'"),
        (["photos"], {"weights": "x.pth"}, "no model is named"),
        (["photos"], {"labels": True, "features": "resnet19"}, "Did you mean"),
        (["photos"], {"output": "photos/audit"}, "is inside the data"),
        (["photos", "data.rot=x"], {}, "rot"),
        (["photos", "data.exclude=["], {}, "exclude"),
    ],
)
def test_an_argument_that_is_not_valid_is_a_config_error(data, options, message, photos):
    with pytest.raises(ConfigError, match=message):
        audit(*data, **options)


@pytest.mark.parametrize("target", ["no-such-folder", "empty", "notes.txt"])
def test_data_without_images_is_a_data_error(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("notes.txt").write_text("no table")
    with pytest.raises(DataError):
        audit(target)


def process_state() -> dict[str, object]:
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("imgrec", "hydra", "PIL", "sklearn"))]
    return {
        "random": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "loggers": [(logger.level, list(logger.handlers)) for logger in loggers],
        "hook": threading.excepthook,
        "environment": dict(os.environ),
    }


def test_seeds_signals_loggers_and_threads_are_left_as_found(photos):
    before = process_state()
    audit("photos", labels=True)
    assert process_state() == before
    with pytest.raises(DataError):
        audit("no-such-folder")
    assert process_state() == before


class Tags(HTMLParser):
    """The elements of a page, each opened and closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_a_table_with_all_names_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = "<script>alert(1)<&"
    write_folders(tmp_path, {f"a&b/{name}/{n}.png": sample_image(n % 2) for name in (evil, "dog") for n in range(3)})
    page = Tags(audit("a&b")._repr_html_())
    assert page.open == []
    assert set(page.tags) == {"p", "table", "tr", "th", "td"}
    assert evil in page.text and "images of 'a&b'" in page.text
    assert page.tags.count("tr") == 1 + len(audit("a&b").worst_first)


def test_a_notebook_shows_that_there_are_no_findings(tmp_path):
    images = {f"{name}/{n}.png": sample_image(100 * k + n) for k, name in enumerate(("cat", "dog")) for n in range(12)}
    assert "No findings." in audit(write_folders(tmp_path / "photos", images))._repr_html_()


def test_a_name_that_is_not_unicode_is_shown_by_its_escape(tmp_path):
    root = write_folders(tmp_path / "photos", {"caf\udce9/a.png": sample_image(1), "dog/b.png": sample_image(1)})
    audit(root)._repr_html_().encode("utf-8")
