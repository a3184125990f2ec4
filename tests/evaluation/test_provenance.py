"""provenance.json: what is needed to make the numbers again."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import torch

from imgrec.core.system.hardware import hardware, versions
from imgrec.evaluation.provenance import Recorder, commit, describe_data
from small_run import Noise


@pytest.fixture(scope="module")
def data() -> Noise:
    found = Noise(batch_size=8, num_workers=0)
    found.setup()
    return found


def test_the_data_are_counted_by_split_and_class(data):
    about = describe_data(data)
    assert about["class_names"] == ["a", "b", "c"]
    assert about["splits"] == {"train": [17, 17, 16], "val": [7, 7, 6], "test": [7, 7, 7]}
    assert about["num_images"] == {"train": 50, "val": 20, "test": 21}
    assert about["fingerprint"] == data.fingerprint()
    assert about["left_out"] == 0


def test_a_job_leaves_what_it_was_and_how_long_its_parts_took(data, tmp_path):
    recorder = Recorder("evaluate")
    with recorder.phase("predict"):
        time.sleep(0.01)
    with recorder.phase("predict"):
        time.sleep(0.01)
    config = {"seed": 3, "model": {"_target_": "imgrec.models.make_small_cnn"}, "odd": Path("a")}
    recorder.write(
        tmp_path,
        config=config,
        data=data,
        network=torch.nn.Linear(3, 2),
        split="test",
        source={"checkpoint": "b.ckpt\udcff"},
    )
    about = json.loads((tmp_path / "provenance.json").read_text())
    assert (about["format"], about["job"], about["seed"], about["split"]) == (1, "evaluate", 3, "test")
    assert about["model"] == {"name": "small_cnn", "num_parameters": 8}
    assert 0.02 <= about["seconds"]["predict"] <= about["seconds"]["total"]
    assert about["trained_with"] is None
    assert about["config"]["odd"] == "a"
    assert set(about["energy"]) == {"cpu_j", "gpu_j", "note"}


def test_the_machine_is_described():
    about = hardware()
    assert about["cores"] >= 1 and about["processor"]
    assert {"python", "torch", "numpy"} <= set(versions())
    assert set(versions(["no-such-package"])) == {"python"}


def test_a_checkout_names_its_commit_and_whether_it_was_changed(tmp_path):
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    package = tmp_path / "package"
    package.mkdir()
    assert commit(package) is None
    git("init", "-q")
    (tmp_path / "other").write_text("a")
    git("add", "other")
    git("commit", "-qm", "a")
    (package / "__init__.py").write_text("")
    assert commit(package) is None, "a package that was installed into somebody's repository is not part of it"
    git("add", ".")
    git("commit", "-qm", "b")
    found = commit(package)
    assert found is not None and len(found["commit"]) == 40 and found["has_changes"] is False
    (package / "__init__.py").write_text("changed")
    assert commit(package) == {"commit": found["commit"], "has_changes": True}
