"""Shards on this machine, within bounds."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgrec.data.shards import remote
from imgrec.data.shards.shard_cache import Prefetcher, Shard, ShardCache, default_cache_dir
from imgrec.errors import ConfigError, DataError
from project import PROJECT
from shard_server import serving

SIZE = 10_000


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", (0.0,))
    folder = tmp_path / "far"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.tar").write_bytes(bytes([number]) * SIZE)
    with serving(folder) as server:
        yield server


def cache(tmp_path: Path, num_shards: float = 3) -> ShardCache:
    return ShardCache(tmp_path / "near", limit_bytes=int(num_shards * SIZE))


def shard(server, number: int) -> Shard:
    return Shard(f"{server.url}/{number}.tar", SIZE)


def held(tmp_path: Path) -> set[str]:
    return {path.name.partition("-")[2] for path in (tmp_path / "near").glob("*.tar")}


def test_a_local_shard_stays_where_it_is(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"0123456789")
    assert cache(tmp_path).path(Shard(str(path), 10)) == path
    assert cache(tmp_path).read(Shard(str(path), 10), offset=3, size=4) == b"3456"
    assert cache(tmp_path).read(Shard(str(path), 10), offset=8, size=4) == b"89"
    assert not (tmp_path / "near").exists()


def test_a_local_shard_that_is_gone_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no\.tar is gone\.$"):
        cache(tmp_path).read(Shard(str(tmp_path / "no.tar"), 10), offset=0, size=1)


def test_a_remote_shard_is_fetched_once(tmp_path, server):
    for _ in range(3):
        assert cache(tmp_path).read(shard(server, 4), offset=5, size=3) == b"\4\4\4"
    assert server.gets == {"4.tar": 1}


def test_shards_of_one_name_at_two_places_are_two(tmp_path, server):
    paths = {cache(tmp_path).path(Shard(f"{server.url}{middle}/1.tar", SIZE)) for middle in ("", "/.")}
    assert len(paths) == 2


def test_the_bound_holds_and_the_least_recently_used_goes(tmp_path, server):
    here = cache(tmp_path)
    for number in (0, 1, 2):
        here.path(shard(server, number))
        time.sleep(0.02)  # for the times of the files
    here._touched.clear()  # as if a second had passed
    here.path(shard(server, 0))
    here.path(shard(server, 3))
    assert held(tmp_path) == {"0.tar", "2.tar", "3.tar"}
    for number in (4, 5, 1):
        here.path(shard(server, number))
        assert sum(path.stat().st_size for path in (tmp_path / "near").glob("*.tar")) <= 3 * SIZE


def test_an_evicted_shard_is_fetched_again_when_it_is_read(tmp_path, server):
    here = cache(tmp_path, 1)
    for number in (0, 1, 0):
        assert here.read(shard(server, number), offset=0, size=1) == bytes([number])
    assert server.gets == {"0.tar": 2, "1.tar": 1}


def _read_all(cache: ShardCache, shards: list[Shard], results) -> None:
    results.put([cache.read(one, offset=0, size=1)[0] for one in shards])


def test_processes_that_need_a_shard_at_once_fetch_it_once(tmp_path, server):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    shards = [shard(server, number) for number in (0, 1, 2)]
    processes = [context.Process(target=_read_all, args=(cache(tmp_path), shards, results)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [[0, 1, 2]] * 3
    for process in processes:
        process.join()
    assert server.gets == {"0.tar": 1, "1.tar": 1, "2.tar": 1}


def test_a_process_forked_in_the_middle_holds_no_lock(tmp_path):
    here = cache(tmp_path)
    here.folder.mkdir()
    with here.alone("fetch-00"):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with here.alone("fetch-00"):  # would wait for the child
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_killed_download_leaves_nothing_that_counts(tmp_path, server):
    code = (
        "import os, sys; from pathlib import Path; from imgrec.data.shards import shard_cache as s\n"
        "def die(*_, file, **__): file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)\n"
        "s.download = die\n"
        f"s.ShardCache(Path({str(tmp_path / 'near')!r}), {3 * SIZE}).path(s.Shard('{server.url}/2.tar', {SIZE}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "near").glob(".*.part"))) == 1
    assert cache(tmp_path, 1).read(shard(server, 2), offset=SIZE - 1, size=9) == b"\2"
    assert not list((tmp_path / "near").glob(".*.part"))


def test_a_download_that_fails_leaves_nothing(tmp_path, server):
    server.faults["1.tar"] = ["cut"] * 9
    with pytest.raises(DataError, match=r"/1\.tar could not be fetched after 2 tries"):
        cache(tmp_path).path(shard(server, 1))
    assert [path.suffix for path in (tmp_path / "near").iterdir() if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_used_is_said(tmp_path, server):
    (tmp_path / "near").touch()
    with pytest.raises(DataError, match=r"near cannot hold the shards: .* Set data\.cache_dir=FOLDER"):
        cache(tmp_path).path(shard(server, 1))


def test_a_full_disk_is_said(tmp_path, server):
    with pytest.raises(
        DataError, match=r"1\.tar cannot be stored in .*near: .* free, but .* Set data\.cache_dir=FOLDER"
    ):
        cache(tmp_path, 1e15).path(Shard(f"{server.url}/1.tar", 10**18))


def test_room_for_the_open_shards_is_demanded_before_the_start(tmp_path, server):
    shards = [shard(server, number) for number in range(6)]
    cache(tmp_path, 3).check_room(shards, num_needed=3)
    with pytest.raises(ConfigError, match=r"data\.cache_gb=3e-05, but reading needs 4 shards at a time\. Set"):
        cache(tmp_path, 3).check_room(shards, num_needed=4)
    with pytest.raises(ConfigError, match="4 shards at a time in each process"):
        cache(tmp_path, 4).check_room(shards, num_needed=4, num_processes=2)
    cache(tmp_path, 0).check_room([Shard("local.tar", SIZE)], num_needed=4)


def test_a_prefetcher_fetches_and_keeps_its_errors_to_itself(tmp_path, server):
    prefetcher = Prefetcher(cache(tmp_path))
    prefetcher.fetch(Shard(str(tmp_path / "local.tar"), SIZE))
    prefetcher.fetch(Shard(f"{server.url}/no.tar", SIZE))
    prefetcher.fetch(shard(server, 3))
    for _ in range(500):
        if held(tmp_path):
            break
        time.sleep(0.02)
    assert held(tmp_path) == {"3.tar"}


def test_the_usual_folder_is_that_of_the_user_for_caches(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/imgrec/shards")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert default_cache_dir() == Path("/home/me/.cache/imgrec/shards")
