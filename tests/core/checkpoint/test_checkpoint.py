"""Saving, loading and finding checkpoints."""

import errno
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imgrec.core.checkpoint import checkpoint
from imgrec.core.checkpoint.checkpoint import load_checkpoint, newest_valid, previous_path, save_checkpoint
from imgrec.core.files import atomic_write as durable
from imgrec.errors import CheckpointError, NonFiniteError, RunFolderError


def make(step: int = 0, **more: Any) -> dict[str, Any]:
    """Return the content of a small checkpoint."""
    return {"global_step": step, "state_dict": {"net.w": torch.full((50,), float(step))}, **more}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damage(path: Path, position: int = 200) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# Saving


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    weights = {f"w{dtype}": torch.randn(7, 3).to(dtype) for dtype in (torch.float32, torch.bfloat16, torch.int64)}
    content = {"state_dict": weights, "nested": [{"a": (1, None, "ü")}], "odd": torch.randn(6, 6)[::2, 1:].t()}
    save_checkpoint(content, tmp_path / "a.ckpt")
    loaded = load_checkpoint(tmp_path / "a.ckpt")
    assert loaded["nested"] == content["nested"]
    assert torch.equal(loaded["odd"], content["odd"])
    assert all(torch.equal(loaded["state_dict"][key], weights[key]) for key in weights)
    assert names(tmp_path) == ["a.ckpt"]


def test_previous_file_is_kept_when_asked(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(make(step), tmp_path / "last.ckpt", keep_previous=True)
        save_checkpoint(make(step), tmp_path / "best.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 3
    assert load_checkpoint(tmp_path / "last.previous.ckpt")["global_step"] == 2
    assert names(tmp_path) == ["best.ckpt", "last.ckpt", "last.previous.ckpt"]


@pytest.mark.parametrize("key", ["state_dict", "current_model_state", "optimizer_states"])
def test_non_finite_tensor_is_never_written(tmp_path: Path, key: str) -> None:
    save_checkpoint(make(1), tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    bad = make(2) | {key: {"layer": [torch.tensor([1.0, float("nan")])]}}
    with pytest.raises(NonFiniteError, match=rf"last\.ckpt was not written: NaN or infinity in {key}\.layer\.0\. "):
        save_checkpoint(bad, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert names(tmp_path) == ["last.ckpt"]


def test_infinite_best_score_of_a_callback_is_in_order(tmp_path: Path) -> None:
    save_checkpoint(make(callbacks={"EarlyStopping": {"best_score": torch.tensor(float("inf"))}}), tmp_path / "a.ckpt")


def test_many_bad_tensors_are_counted(tmp_path: Path) -> None:
    bad = {"state_dict": {str(i): torch.tensor(float("inf")) for i in range(10)}}
    with pytest.raises(NonFiniteError, match=r"state_dict\.2 and 7 more\."):
        save_checkpoint(bad, tmp_path / "a.ckpt")


def test_object_is_refused_with_its_key_and_how_to_convert_it(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"hyper_parameters\.root: pathlib\.PosixPath\. .*plain data only.*str\(\)"
    ):
        save_checkpoint(make(hyper_parameters={"root": Path("x")}), tmp_path / "a.ckpt")
    assert names(tmp_path) == []


@pytest.mark.parametrize("tensor", [torch.ones(2, dtype=torch.uint16), torch.ones(2).to(torch.float8_e5m2)])
def test_tensor_of_a_type_that_would_not_load_is_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    with pytest.raises(CheckpointError, match=r"was not written: it would need torch\._utils\._rebuild_tensor_v3"):
        save_checkpoint(make(odd=tensor), tmp_path / "a.ckpt")
    assert names(tmp_path) == []


def test_expanded_tensor_is_refused_as_it_would_be_in_loading(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expanded view.*\.clone\(\)"):
        save_checkpoint(make(wide=torch.zeros(1).expand(10**9)), tmp_path / "a.ckpt")


def test_full_disk_at_any_write_keeps_both_old_files_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingFile:
        def __init__(self, file: Any, left: int) -> None:
            self.file, self.left = file, left

        def write(self, data: Any) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(self.file.write(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> "FailingFile":
            return self

        def __exit__(self, *details: object) -> None:
            self.file.close()

    def failing_after(count: int) -> Callable[[Path], tuple[Path, Any]]:
        def open_part(path: Path) -> tuple[Path, Any]:
            part, file = real(path)
            return part, FailingFile(file, count)

        return open_part

    for step in (1, 2):
        save_checkpoint(make(step), tmp_path / "last.ckpt", keep_previous=True)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    real, writes = durable._open_part, 0
    while True:
        monkeypatch.setattr(durable, "_open_part", failing_after(writes))
        try:
            save_checkpoint(make(3), tmp_path / "last.ckpt", keep_previous=True)
            break
        except RunFolderError as error:
            assert "the disk is full" in str(error) and "MB needed" in str(error)
        assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
        writes += 1
    assert writes > 20
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 3


def test_too_little_space_is_told_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_free_bytes", lambda _: 3_000_000)
    with pytest.raises(RunFolderError, match=r"has 3\.0 MB free, but 5\.\d MB are needed"):
        save_checkpoint({"state_dict": {"w": torch.zeros(10**6)}}, tmp_path / "a.ckpt")
    assert names(tmp_path) == []


# Loading


@pytest.mark.parametrize(
    "address", ["http://a.b/c.ckpt", "https://a.b/c", "s3://bucket/x", "gs://x", "file:///x", "hf://a", "ftp:/a"]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_address_is_refused(address: str, kind: Callable[[str], Any]) -> None:
    with pytest.raises(CheckpointError, match=r"is a URL.*download it first"):
        load_checkpoint(kind(address))
    with pytest.raises(CheckpointError, match="is a URL"):
        save_checkpoint(make(), kind(address))


def test_path_with_a_colon_is_no_address(tmp_path: Path) -> None:
    save_checkpoint(make(4), tmp_path / "12:30.ckpt")
    assert load_checkpoint(str(tmp_path / "12:30.ckpt"))["global_step"] == 4
    assert checkpoint.local_path("C:/runs/best.ckpt") == Path("C:/runs/best.ckpt")


def test_absent_file_names_near_ones(tmp_path: Path) -> None:
    save_checkpoint(make(), tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"bets\.ckpt does not exist\. Did you mean 'best\.ckpt'\?"):
        load_checkpoint(tmp_path / "bets.ckpt")
    with pytest.raises(CheckpointError, match=r"epoch=3 does not exist\. In that folder: best\.ckpt\."):
        load_checkpoint(tmp_path / "epoch=3")
    with pytest.raises(CheckpointError, match=r"there is no folder .*absent"):
        load_checkpoint(tmp_path / "absent" / "best.ckpt")


def test_folder_and_pipe_are_no_checkpoints(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    for path in (tmp_path, tmp_path / "pipe.ckpt"):
        with pytest.raises(CheckpointError, match="is not a file"):
            load_checkpoint(path)


def test_unreadable_file_is_a_checkpoint_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    save_checkpoint(make(), tmp_path / "a.ckpt")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"a\.ckpt cannot be read: Permission denied\. Check its permissions"):
        load_checkpoint(tmp_path / "a.ckpt")


def test_environment_cannot_switch_off_safe_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = torch.load

    def spy(*args: Any, **options: Any) -> Any:
        seen.append(options["weights_only"])
        return real(*args, **options)

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setattr(torch, "load", spy)
    save_checkpoint(make(), tmp_path / "a.ckpt")
    load_checkpoint(tmp_path / "a.ckpt")
    newest_valid(tmp_path)
    assert seen == [True, True]


def test_file_replaced_while_it_is_read_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint.verify_file

    def replaced_after_verifying(file: Any) -> Any:
        result = real(file)
        save_checkpoint(make(2), tmp_path / "last.ckpt")
        return result

    save_checkpoint(make(1), tmp_path / "last.ckpt")
    monkeypatch.setattr(checkpoint, "verify_file", replaced_after_verifying)
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 1


# The newest whole one


def test_newest_is_the_one_that_went_furthest_whatever_the_clock_says(tmp_path: Path) -> None:
    for name, step, time in (("last.ckpt", 30, 1000), ("last.previous.ckpt", 20, 3000), ("best.ckpt", 10, 2000)):
        save_checkpoint(make(step), tmp_path / name)
        os.utime(tmp_path / name, (time, time))
    assert newest_valid(tmp_path) == (tmp_path / "last.ckpt", [])


def test_of_equal_steps_last_comes_first_then_the_latest(tmp_path: Path) -> None:
    for name, time in (("a.ckpt", 1000), ("b.ckpt", 3000), ("c.ckpt", 2000)):
        save_checkpoint(make(5), tmp_path / name)
        os.utime(tmp_path / name, (time, time))
    assert newest_valid(tmp_path).path == tmp_path / "b.ckpt"
    save_checkpoint(make(5), tmp_path / "last.ckpt")
    os.utime(tmp_path / "last.ckpt", (500, 500))
    assert newest_valid(tmp_path).path == tmp_path / "last.ckpt"


def test_damaged_newest_is_skipped_and_named(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(make(step), tmp_path / "last.ckpt", keep_previous=True)
    damage(tmp_path / "last.ckpt", (tmp_path / "last.ckpt").stat().st_size - 10)
    path, skipped = newest_valid(tmp_path)
    assert path == tmp_path / "last.previous.ckpt"
    assert skipped == [f"Skipped: {tmp_path / 'last.ckpt'} is damaged (wrong SHA-256); it was at step 3."]


def test_damage_anywhere_falls_back_to_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(make(step), tmp_path / "last.ckpt", keep_previous=True)
    data, chance = (tmp_path / "last.ckpt").read_bytes(), random.Random(0)
    for _ in range(100):
        (tmp_path / "last.ckpt").write_bytes(data)
        damage(tmp_path / "last.ckpt", chance.randrange(len(data)))
        path, skipped = newest_valid(tmp_path)
        assert path == tmp_path / "last.previous.ckpt"
        assert len(skipped) == 1
    for length in [0, *(chance.randrange(len(data)) for _ in range(50))]:
        (tmp_path / "last.ckpt").write_bytes(data[:length])
        assert newest_valid(tmp_path).path == tmp_path / "last.previous.ckpt"


def test_files_of_other_programs_are_skipped(tmp_path: Path) -> None:
    torch.save(make(9), tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    save_checkpoint({"state_dict": {}}, tmp_path / "weights.ckpt")
    path, skipped = newest_valid(tmp_path)
    assert path is None
    assert len(skipped) == 3
    for message in ("other.ckpt carries no digest", "text.ckpt is not a checkpoint", "weights.ckpt .* no global_step"):
        assert any(re.search(message, line) for line in skipped)


def test_empty_or_absent_folder_has_none(tmp_path: Path) -> None:
    assert newest_valid(tmp_path) == (None, [])
    assert newest_valid(tmp_path / "absent") == (None, [])


# Processes that are killed, and memory

KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from imgrec.core.checkpoint.checkpoint import load_checkpoint, newest_valid, save_checkpoint
from imgrec.core.files.atomic_write import sweep_parts
torch.set_num_threads(1)
folder, step = Path(sys.argv[1]), 0
reader, writer = os.pipe()
os.set_blocking(reader, False)
for attempt in range(10):
    child = os.fork()
    while not child:
        step += 1
        content = {"global_step": step, "state_dict": {"w": torch.full((5_000_000,), float(step))}}
        save_checkpoint(content, folder / "last.ckpt", keep_previous=True)
        os.write(writer, step.to_bytes(4, "big"))
    time.sleep(random.uniform(0.05, 0.4))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        step = int.from_bytes(os.read(reader, 1 << 16)[-4:], "big")
    except BlockingIOError:
        pass
    path, skipped = newest_valid(folder)
    found = load_checkpoint(path) if path else {"global_step": 0, "state_dict": {"w": torch.zeros(1)}}
    is_correct = bool((found["state_dict"]["w"] == found["global_step"]).all())
    litter = len(sweep_parts(folder))
    print(json.dumps([step, found["global_step"], is_correct, skipped, litter, sorted(os.listdir(folder))]))
    step = found["global_step"]
"""


def test_kill_inside_the_save_never_loses_a_saved_checkpoint(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(lines) == 10
    for acknowledged, found, is_correct, skipped, litter, left in lines:
        assert found >= acknowledged
        assert is_correct and skipped == []
        assert litter <= 1
        assert set(left) <= {"last.ckpt", "last.previous.ckpt"}
    assert any(litter for *_, litter, _ in lines), "no kill hit the save itself"
    assert lines[-1][1] > 0


MEMORY = """
import resource, sys
import torch
from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
torch.set_num_threads(1)
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
save_checkpoint({"state_dict": {"w": torch.zeros(10)}}, sys.argv[1])
load_checkpoint(sys.argv[1])
content = {"state_dict": {f"w{i}": torch.ones(5_000_000) for i in range(5)}}
before = peak_mb()
save_checkpoint(content, sys.argv[1])
print(peak_mb() - before)
del content
before = peak_mb()
load_checkpoint(sys.argv[1])
print(peak_mb() - before)
"""


def test_memory_for_saving_is_next_to_nothing_and_for_loading_the_size_of_the_file(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "a")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    saving_mb, loading_mb = map(float, run.stdout.split())
    assert saving_mb < 20  # of a file of 100 MB
    assert loading_mb < 120


def test_kept_name_is_beside_the_file() -> None:
    assert previous_path(Path("a/last.ckpt")) == Path("a/last.previous.ckpt")


def test_the_previous_file_is_advised_only_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for step in (1, 2):
        save_checkpoint(make(step), path, keep_previous=True)
    damage(path)
    with pytest.raises(CheckpointError, match=r"such as last\.previous\.ckpt\.$"):
        load_checkpoint(path)
    previous_path(path).unlink()
    with pytest.raises(CheckpointError, match=r"Use another checkpoint of the run\.$"):
        load_checkpoint(path)


def test_the_folder_of_a_run_stands_for_its_best_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a file\. Give the path of a checkpoint"):
        load_checkpoint(tmp_path)
    save_checkpoint(make(3), tmp_path / "best.ckpt")
    assert load_checkpoint(tmp_path)["global_step"] == 3
