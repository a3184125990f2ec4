"""From which checkpoint a run goes on, and when it may not."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from imgrec.core.checkpoint.checkpoint import CheckpointInfo, save_checkpoint
from imgrec.errors import CheckpointError, ConfigError
from imgrec.training.resume import Start, announce, find_start, set_aside

CONFIG: dict[str, Any] = {
    "model": {"_target_": "imgrec.models.make_small_cnn", "num_classes": 2, "dropout": 0.5},
    "loss": {"_target_": "imgrec.training.losses.CrossEntropyLoss", "class_counts": [3, 4]},
    "optimizer": {"_target_": "imgrec.training.optim.make_optimizer", "name": "AdamW", "lr": 0.001},
    "scheduler": {"_target_": "imgrec.training.optim.make_scheduler", "name": "cosine", "warmup_epochs": 0},
    "mixing": {"_target_": "imgrec.data.augment.mixing.BatchMixing"},
    "augment": {"_target_": "imgrec.data.Augment", "transforms": [{"p": 0.5}]},
    "preprocess": None,
    "trainer": {"max_epochs": 3},
}
RECORD: dict[str, Any] = CheckpointInfo(
    config=CONFIG, class_names=["a", "b"], task="single", data_fingerprint="f", seed=1, batch_size=8, world_size=1,
    version="0",
).to_record()  # fmt: skip
TENSORS = {"net.weight": torch.zeros(2, 3), "net.bias": torch.zeros(2)}


def save(path: Path, *, step: int = 4, epochs: int = 2, record: dict[str, Any] | None = None) -> Path:
    loops = {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}}
    payload = {"imgrec": record or RECORD, "state_dict": TENSORS, "global_step": step, "loops": loops}
    save_checkpoint(payload, path)
    return path


def changed(**settings: Any) -> dict[str, Any]:
    """Return the record of a run with other values, as group__key=value, or of a top-level key."""
    record = copy.deepcopy(RECORD)
    for name, value in settings.items():
        group, _, key = name.partition("__")
        if key:
            record["config"][group][key] = value
        else:
            record[group] = value
    return record


def find(
    folder: Path, *, resume: str | None = "auto", record: Any = RECORD, tensors: Any = TENSORS, **more: Any
) -> Any:
    return find_start(folder, resume=resume, record=record, tensors=tensors, **more)


def test_an_empty_folder_is_a_fresh_start(tmp_path):
    assert find(tmp_path) is None
    assert find(tmp_path, resume=None) is None


def test_the_checkpoint_that_went_furthest_is_the_start(tmp_path):
    save(tmp_path / "best.ckpt", step=4, epochs=2)
    last = save(tmp_path / "last.ckpt", step=7, epochs=3)
    assert find(tmp_path) == Start(last, step=7, epochs=3)


def test_a_damaged_one_is_passed_over_and_named(tmp_path, caplog):
    best = save(tmp_path / "best.ckpt", step=4)
    last = save(tmp_path / "last.ckpt", step=7)
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 255
    last.write_bytes(data)
    start = find(tmp_path)
    assert start.path == best
    assert "last.ckpt is damaged" in caplog.text


def test_never_is_a_fresh_start_whatever_is_there(tmp_path):
    save(tmp_path / "last.ckpt")
    assert find(tmp_path, resume="never") is None


def test_a_path_is_taken_before_what_is_in_the_folder(tmp_path):
    save(tmp_path / "last.ckpt", step=7)
    other = save(tmp_path / "elsewhere" / "best.ckpt", step=3, epochs=1)
    assert find(tmp_path, resume=str(other)) == Start(other, step=3, epochs=1)


def test_a_path_that_is_not_there_is_answered_with_those_near(tmp_path):
    save(tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"bets\.ckpt does not exist\. Did you mean 'best\.ckpt'"):
        find(tmp_path, resume=str(tmp_path / "bets.ckpt"))


def test_an_unknown_value_of_resume_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"resume=nevr: use auto, never, or the path.*Did you mean 'never'"):
        find(tmp_path, resume="nevr")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("data_fingerprint", "g", "the data (files, labels or split)"),
        ("class_names", ["a", "c"], "the classes"),
        ("seed", 2, "seed"),
        ("batch_size", 9, "data.batch_size"),
        ("world_size", 2, "the number of processes"),
    ],
)
def test_what_must_be_as_it_was_is_named_with_the_way_out(name, value, what, tmp_path):
    path = save(tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError) as caught:
        find(tmp_path, record=changed(**{name: value}))
    assert str(caught.value) == (
        f"{path} was made with other values of: {what}. Set them back, train from scratch (resume=never, or another "
        f"run_dir), or accept the change: resume_allow_changed=[{name}]."
    )
    assert find(tmp_path, record=changed(**{name: value}), allow_changed=[name]).path == path


def test_the_way_out_names_all_that_has_changed(tmp_path):
    save(tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"resume_allow_changed=\[seed,batch_size\]") as caught:
        find(tmp_path, record=changed(seed=2, batch_size=9), allow_changed=["seed"])
    assert "other values of: data.batch_size." in str(caught.value)


def test_another_setting_is_named_with_both_values(tmp_path, caplog):
    path = save(tmp_path / "last.ckpt")
    record = changed(optimizer__lr=0.5, augment__transforms=[])
    with pytest.raises(
        CheckpointError, match=r"optimizer\.lr \(0\.001, now 0\.5\), augment\.transforms\. Set"
    ) as caught:
        find(tmp_path, record=record)
    assert "resume_allow_changed=[settings]" in str(caught.value)
    assert find(tmp_path, record=record, allow_changed=["settings"]).path == path
    assert "optimizer.lr (0.001, now 0.5)" in caplog.text
    assert "Learning rates stay as saved" in caplog.text


def test_what_follows_from_the_data_or_does_not_touch_the_weights_may_change(tmp_path):
    path = save(tmp_path / "last.ckpt")
    assert find(tmp_path, record=changed(loss__class_counts=[5, 6], trainer__max_epochs=9)).path == path


@pytest.mark.parametrize("change", [{"optimizer__name": "SGD"}, {"scheduler__name": "step"}])
def test_the_state_of_another_optimizer_or_schedule_is_never_taken(change, tmp_path):
    save(tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"state of another optimizer or schedule: \w+\.name \(\w+, now \w+\)"):
        find(tmp_path, record=changed(**change), allow_changed=["settings"])


@pytest.mark.parametrize("tensors", [{"net.weight": torch.zeros(2, 3)}, {**TENSORS, "net.bias": torch.zeros(3)}])
def test_another_network_is_never_taken(tensors, tmp_path):
    save(tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is of another model: net\.bias differ"):
        find(tmp_path, tensors=tensors)


def test_a_file_without_a_place_in_a_training_is_refused(tmp_path):
    path = tmp_path / "weights.ckpt"
    save_checkpoint({"state_dict": TENSORS, "global_step": 3}, path)
    with pytest.raises(CheckpointError, match=r"no training state to resume from.*model\.weights=.*weights\.ckpt"):
        find(tmp_path, resume=str(path))


# What is said at the start


def test_a_run_that_goes_on_says_from_where(caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        announce(Start(Path("last.ckpt"), step=7, epochs=3), max_epochs=5, max_steps=-1)
    assert caplog.messages == ["Resuming from last.ckpt: 3 epochs, 7 steps"]


@pytest.mark.parametrize(("max_epochs", "max_steps"), [(3, -1), (9, 7), (-1, 7), (None, 5)])
def test_a_run_with_nothing_left_says_that_it_has_finished(max_epochs, max_steps, caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        announce(Start(Path("last.ckpt"), step=7, epochs=3), max_epochs=max_epochs, max_steps=max_steps)
    assert "This run is complete" in caplog.text


def test_a_run_that_went_further_than_it_should_is_refused():
    with pytest.raises(
        CheckpointError, match=r"3 completed epochs, more than trainer\.max_epochs=2\. Set .*=3 or more"
    ):
        announce(Start(Path("last.ckpt"), step=7, epochs=3), max_epochs=2, max_steps=-1)


# What an earlier run left


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_fresh_start_moves_everything_of_the_earlier_run_but_its_logs(tmp_path):
    for name in ("best.ckpt", "last.ckpt", "last.previous.ckpt"):
        save(tmp_path / name)
    for name in ("history.csv", "result.json", "train.log", ".lock"):
        (tmp_path / name).touch()
    (tmp_path / "tensorboard").mkdir()
    assert set_aside(tmp_path, start=None) == tmp_path / "earlier-1"
    assert names(tmp_path) == {"earlier-1", "train.log", ".lock"}
    assert names(tmp_path / "earlier-1") == {
        "best.ckpt", "last.ckpt", "last.previous.ckpt", "history.csv", "result.json", "tensorboard",
    }  # fmt: skip


def test_a_second_fresh_start_gets_a_folder_of_its_own(tmp_path):
    for number in (1, 2):
        save(tmp_path / "last.ckpt")
        assert set_aside(tmp_path, start=None) == tmp_path / f"earlier-{number}"


def test_in_an_empty_folder_nothing_is_moved(tmp_path):
    assert set_aside(tmp_path, start=None) is None
    assert names(tmp_path) == set()


def test_going_on_from_an_earlier_checkpoint_of_the_folder_moves_those_that_went_further(tmp_path):
    best = save(tmp_path / "best.ckpt", step=4)
    save(tmp_path / "last.ckpt", step=9)
    save(tmp_path / "last.previous.ckpt", step=4)
    set_aside(tmp_path, start=Start(best, step=4, epochs=2))
    assert names(tmp_path) == {"best.ckpt", "last.previous.ckpt", "earlier-1"}
    assert names(tmp_path / "earlier-1") == {"last.ckpt"}


def test_going_on_from_elsewhere_moves_what_is_in_the_folder(tmp_path):
    other = save(tmp_path / "other" / "best.ckpt", step=4)
    save(tmp_path / "run" / "last.ckpt", step=1)
    set_aside(tmp_path / "run", start=Start(other, step=4, epochs=2))
    assert names(tmp_path / "run") == {"earlier-1"}
    assert other.exists()
