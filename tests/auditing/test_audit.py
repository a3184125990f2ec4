"""The audit as a whole: faults planted in a folder are found, and the report is the same each time."""

import json
from pathlib import Path

import numpy as np
import pytest

from audit_data import sample_image, write_folders
from imgrec.auditing.audit import AuditSettings, relative_paths, run_audit
from imgrec.auditing.findings import Audit, to_json
from imgrec.auditing.output.explanations import EXPLANATIONS
from imgrec.data.sources.folder import list_folder


def audit_folder(root: Path, **options) -> Audit:
    found = list_folder(root=str(root))
    settings = options.pop("settings", AuditSettings(labels=False))
    return run_audit(
        found.parts, class_names=found.label_names, target=str(root), base=root, settings=settings, **options
    )


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Two splits of two classes with one fault of each kind that needs no statistics."""
    files = {
        f"{split}/{name}/{number}.png": sample_image(100 * place + 10 * label + number, size=64)
        for place, split in enumerate(("train", "test"))
        for label, name in enumerate(("cat", "dog"))
        for number in range(4)
    }
    files["test/cat/leak.png"] = files["train/cat/0.png"]
    files["train/dog/conflict.png"] = files["train/cat/1.png"]
    files["test/dog/mirrored.png"] = files["train/dog/2.png"][:, ::-1]
    root = write_folders(tmp_path / "photos", files)
    (root / "train/cat/cut.png").write_bytes((root / "train/cat/2.png").read_bytes()[:200])
    return root


def test_faults_are_found_and_named_as_the_user_would(dirty):
    written = json.loads(to_json(audit_folder(dirty, workers=1)))
    assert written["num_files"] == 20
    assert [one["path"] for one in written["broken"]] == ["train/cat/cut.png"]
    assert sorted(map(sorted, written["leaks"]["exact"])) == [["test/cat/leak.png", "train/cat/0.png"]]
    assert ["test/dog/mirrored.png", "train/dog/2.png"] in [sorted(pair) for pair in written["leaks"]["near"]]
    assert ["train/cat/1.png", "train/dog/conflict.png"] in [sorted(one["paths"]) for one in written["label_conflicts"]]
    assert len(written["exact_duplicates"]) == 2


def test_the_report_is_the_same_for_any_number_of_processes_and_each_time(dirty, tmp_path):
    alone = audit_folder(dirty, workers=1)
    store = tmp_path / "facts.sqlite"
    assert to_json(audit_folder(dirty, workers=2, store=store)) == to_json(alone)
    assert to_json(audit_folder(dirty, workers=2, store=store)) == to_json(alone)


def test_every_section_is_explained(dirty):
    assert {section.key for section in audit_folder(dirty, workers=1).sections} == set(EXPLANATIONS)


def test_without_splits_leaks_are_not_checked_with_a_reason(tmp_path):
    root = write_folders(tmp_path, {"cat/a.png": sample_image(1), "dog/b.png": sample_image(2)})
    assert "no splits" in audit_folder(root, workers=1).not_run["leaks"]


def test_a_quick_audit_lists_the_checks_it_skips(dirty):
    audit = audit_folder(dirty, workers=1, settings=AuditSettings(quick=True))
    assert {"near_duplicates", "leaks.near", "suspected_labels"} <= set(audit.not_run)
    exact = next(section for section in audit.sections if section.key == "leaks.exact")
    assert len(exact.cases) == 1


def test_images_without_labels_are_audited(tmp_path):
    root = write_folders(
        tmp_path / "flat", {"a.png": sample_image(1), "b.png": sample_image(1), "c.png": sample_image(2)}
    )
    audit = audit_folder(root, workers=1, settings=AuditSettings())
    assert json.loads(to_json(audit))["exact_duplicates"] == [["a.png", "b.png"]]
    assert "suspected_labels" in audit.not_run


def test_planted_wrong_labels_are_suspected(tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for number in range(80):
        bright = number % 2
        pixels = rng.integers(0, 90, (16, 16, 3)).astype(np.uint8) + np.uint8(150 * bright)
        is_flipped = number in (6, 31)
        files[f"{'day' if bright != is_flipped else 'night'}/{number:02d}.png"] = pixels
    audit = audit_folder(write_folders(tmp_path, files), workers=1, settings=AuditSettings())
    suspected = {one["path"] for one in json.loads(to_json(audit))["suspected_labels"]}
    assert suspected == {"day/06.png", "night/31.png"}


def test_the_fingerprint_is_of_the_data_and_not_of_where_it_is(dirty, tmp_path):
    before = audit_folder(dirty, workers=1).fingerprint
    moved = dirty.rename(tmp_path / "elsewhere")
    assert audit_folder(moved, workers=1).fingerprint == before
    write_folders(moved, {"train/cat/3.png": sample_image(999)})
    assert audit_folder(moved, workers=1).fingerprint != before


def test_paths_are_relative_to_what_the_user_named():
    assert relative_paths(["photos/cat/a.png", "other/b.png"], Path("photos")) == ["cat/a.png", "other/b.png"]
    assert relative_paths(["/data/x/cat/a.png"], Path("/data/x/")) == ["cat/a.png"]
    assert relative_paths(["./cat/a.png"], Path()) == ["cat/a.png"]
    assert relative_paths(["digits/0012"], None) == ["digits/0012"]
