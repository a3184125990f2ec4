"""Durable writing: whole or not at all, with the old file intact; errors that say what to do; no litter."""

import errno
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgrec.core.files import atomic_write as durable
from imgrec.core.files.atomic_write import (
    check_free_space,
    durable_link,
    durable_write,
    sweep_parts,
    write_bytes,
    write_text,
)
from imgrec.errors import RunFolderError


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".*.part"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def give_free_space(monkeypatch: pytest.MonkeyPatch, *, total: int, free: int) -> None:
    usage = namedtuple("usage", "total used free")(total, total - free, free)
    monkeypatch.setattr(durable.shutil, "disk_usage", lambda _: usage)


class FailingFile:
    """A binary file whose `fail_at`-th write finds the disk full, as do all after it."""

    def __init__(self, file: Any, fail_at: int, number: int = errno.ENOSPC) -> None:
        self.file, self.left, self.number = file, fail_at, number

    def write(self, data: Any) -> int:
        self.left -= 1
        if self.left <= 0:
            raise OSError(self.number, os.strerror(self.number))
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "FailingFile":
        return self

    def __exit__(self, *details: object) -> None:
        self.file.close()


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have every durable file fail at its k-th write from now on."""
    real = durable._open_part

    def set_failing(k: int, number: int = errno.ENOSPC) -> None:
        def open_failing(path: Path) -> tuple[Path, Any]:
            part, file = real(path)
            return part, FailingFile(file, k, number)

        monkeypatch.setattr(durable, "_open_part", open_failing)

    yield set_failing


# What is written


def test_written_bytes_are_read_back(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.bin", b"\0\1\n\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\0\1\n\r\n"
    assert names(tmp_path) == ["a.bin"]


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Käfer\r\n猫\n")
    assert (tmp_path / "a.txt").read_bytes() == "Käfer\r\n猫\n".encode()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_a_new_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "durable", "x")
    assert (tmp_path / "durable").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    write_text(path, "x")
    assert path.read_text() == "x"


def test_what_was_written_can_be_read_back_inside_the_block(tmp_path: Path) -> None:
    with durable_write(tmp_path / "a") as file:
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"


def test_target_keeps_the_old_content_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with durable_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()


def test_file_and_folder_are_forced_to_the_disk_in_the_right_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        calls.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().suffix)
        fsync(descriptor)

    def spy_replace(source: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to name an open file")
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    write_bytes(tmp_path / "a", b"x")
    assert calls == ["fsync .part", "rename", "fsync "]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_file_system_that_cannot_sync_is_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_disk_error_in_sync_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunFolderError, match="Input/output error"):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"


# Keeping the file before


def test_old_file_is_kept_under_the_name_asked_for(tmp_path: Path) -> None:
    path, before = tmp_path / "a", tmp_path / "a.before"
    for text in ("1", "2", "3"):
        with durable_write(path, keep_as=before) as file:
            file.write(text.encode())
    assert (path.read_text(), before.read_text()) == ("3", "2")
    assert names(tmp_path) == ["a", "a.before"]


def test_old_file_is_kept_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    test_old_file_is_kept_under_the_name_asked_for(tmp_path)


@pytest.mark.parametrize("has_links", [True, False])
def test_at_every_rename_a_whole_file_has_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    path, before, seen = tmp_path / "a", tmp_path / "a.before", []
    replace, link = Path.replace, os.link

    def look() -> None:
        texts = [name.read_text() for name in (path, before) if name.exists()]
        seen.append(len(texts))
        assert set(texts) <= {"one", "two"} and texts

    def spy_replace(source: Path, target: Path) -> Path:
        result = replace(source, target)
        look()
        return result

    def spy_link(source: Path, target: Path) -> None:
        if not has_links:
            raise OSError(errno.EPERM, "no links here")
        link(source, target)
        look()

    path.write_text("one")
    monkeypatch.setattr(Path, "replace", spy_replace)
    monkeypatch.setattr(os, "link", spy_link)
    with durable_write(path, keep_as=before) as file:
        file.write(b"two")
    assert seen == ([1, 1, 2] if has_links else [1, 2])


def test_a_second_name_shares_the_file_and_keeps_the_one_before(tmp_path: Path) -> None:
    best, last, before = tmp_path / "best", tmp_path / "last", tmp_path / "last.before"
    last.write_text("old")
    write_text(best, "new")
    durable_link(best, last, keep_as=before)
    assert last.samefile(best)
    assert before.read_text() == "old"
    assert names(tmp_path) == ["best", "last", "last.before"]


def test_linking_twice_leaves_no_litter(tmp_path: Path) -> None:
    write_text(tmp_path / "best", "x")
    for _ in range(3):
        durable_link(tmp_path / "best", tmp_path / "last", keep_as=tmp_path / "last.before")
    assert names(tmp_path) == ["best", "last", "last.before"]


def test_writing_one_of_two_names_leaves_the_other(tmp_path: Path) -> None:
    write_text(tmp_path / "best", "1")
    durable_link(tmp_path / "best", tmp_path / "last")
    write_text(tmp_path / "last", "2")
    assert (tmp_path / "best").read_text() == "1"


def test_a_second_name_is_a_copy_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*args: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    write_text(tmp_path / "best", "x")
    monkeypatch.setattr(os, "link", link)
    durable_link(tmp_path / "best", tmp_path / "last")
    assert (tmp_path / "last").read_text() == "x"
    assert not (tmp_path / "last").samefile(tmp_path / "best")


# What goes wrong


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(1)])
def test_any_error_inside_leaves_the_old_file_and_no_litter(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(type(error)), durable_write(tmp_path / "a") as file:
        file.write(b"new")
        raise error
    assert (tmp_path / "a").read_bytes() == b"old"
    assert parts(tmp_path) == []


@pytest.mark.parametrize("k", range(1, 21))
def test_full_disk_at_any_write_leaves_the_old_file_bit_for_bit(
    tmp_path: Path, fail_at: Callable[..., None], k: int
) -> None:
    (tmp_path / "a").write_bytes(b"old" * 1000)
    fail_at(k)
    with (
        pytest.raises(RunFolderError, match=r"disk is full \(.* free\).*unchanged.*Free some space"),
        durable_write(tmp_path / "a") as file,
    ):
        for _ in range(20):
            file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"old" * 1000
    assert names(tmp_path) == ["a"]


def test_full_disk_message_names_the_file_and_the_bytes_needed(tmp_path: Path, fail_at: Callable[..., None]) -> None:
    fail_at(1)
    with (
        pytest.raises(RunFolderError, match=r"best\.ckpt: .*\(2\.5 MB needed, [0-9,.]+ MB free\)"),
        durable_write(tmp_path / "best.ckpt", size=2_500_000) as file,
    ):
        file.write(b"x")


@pytest.mark.parametrize(("number", "message"), [(errno.EDQUOT, "quota"), (errno.EFBIG, "ulimit")])
def test_other_limits_have_their_own_message(
    tmp_path: Path, fail_at: Callable[..., None], number: int, message: str
) -> None:
    fail_at(1, number)
    with pytest.raises(RunFolderError, match=message):
        write_bytes(tmp_path / "a", b"x")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_closed_folder_says_to_check_the_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        RunFolderError, match=f"Cannot write .*a: {os.strerror(number)}. Check the path and its permissions"
    ):
        write_bytes(tmp_path / "a", b"x")


def test_file_where_a_folder_should_be_is_a_run_folder_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(RunFolderError, match=r"Cannot write .*b: .*(Not a directory|File exists)"):
        write_text(tmp_path / "a" / "b", "x")


def test_error_about_another_file_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), durable_write(tmp_path / "a") as file:
        file.write((tmp_path / "elsewhere" / "absent").read_bytes())


def test_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RunFolderError, match="not a regular file"):
            write_text(path, "x")


def test_file_size_limit_of_the_system_keeps_the_old_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    script = """
import resource, sys
from pathlib import Path
from imgrec.core.files.atomic_write import write_bytes
from imgrec.errors import RunFolderError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_bytes(Path(sys.argv[1]), bytes(5_000_000))
except RunFolderError as error:
    print(error)
"""
    run = [sys.executable, "-c", script, str(tmp_path / "a")]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert "ulimit -f" in said
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


# Free space


def test_too_little_space_is_told_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_free_space(monkeypatch, total=10**9, free=10**6)
    check_free_space(tmp_path, 10**6)
    with pytest.raises(RunFolderError, match=r"has 1\.0 MB free, but 2\.0 MB are needed\. Free some space"):
        check_free_space(tmp_path, 2 * 10**6)
    with pytest.raises(RunFolderError, match="are needed"), durable_write(tmp_path / "a", size=2 * 10**6):
        pytest.fail("the block must not begin")
    assert names(tmp_path) == []


def test_file_system_that_does_not_tell_its_space_is_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_free_space(monkeypatch, total=0, free=0)
    check_free_space(tmp_path, 10**15)


# Litter of killed processes


def test_sweep_takes_the_file_of_a_dead_process_and_not_of_a_living_one(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    dead = tmp_path / "sub" / ".best.ckpt.4711-0.part"
    dead.write_bytes(b"half")
    with durable_write(tmp_path / "best.ckpt") as file:
        assert sweep_parts(tmp_path) == [dead]
        assert len(parts(tmp_path)) == 1
        file.write(b"x")
    assert (tmp_path / "best.ckpt").read_bytes() == b"x"


def test_sweep_leaves_other_files_alone(tmp_path: Path) -> None:
    for name in ("a.part", ".a.part", ".a.1-2.part.txt", "best.ckpt", ".lock"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".link.1-2.part").symlink_to("best.ckpt")
    assert sweep_parts(tmp_path) == []
    assert len(names(tmp_path)) == 6


def test_file_left_by_a_dead_process_of_the_same_number_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_PART_NUMBERS", iter([7, 8]))
    (tmp_path / f".a.{os.getpid()}-7.part").write_text("half")
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_writer_takes_a_new_file_when_a_sweep_took_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def lock_after_sweep(descriptor: int) -> bool:
        if not taken:
            taken.append(descriptor)
            parts(tmp_path)[0].unlink()
        return True

    monkeypatch.setattr(durable, "try_lock", lock_after_sweep)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from imgrec.core.files.atomic_write import sweep_parts, write_bytes
path = Path(sys.argv[1])
blocks = [bytes([number]) * 5_000_000 for number in range(256)][:8]
for attempt in range(20):
    child = os.fork()
    while not child:
        for block in blocks:
            write_bytes(path, block)
    time.sleep(random.uniform(0.01, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if path.exists():
        assert path.read_bytes() in blocks, "truncated or mixed"
    litter = sweep_parts(path.parent)
    print(len(litter), sorted(os.listdir(path.parent)))
"""


def test_kill_inside_the_write_leaves_a_whole_file_and_one_temporary_at_most(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 20
    assert all(line in ("0 ['a']", "1 ['a']", "1 []", "0 []") for line in lines)
    assert any(line.startswith("1") for line in lines), "no kill hit the write itself"
