"""Files at URLs: whole, or a message."""

import errno
import hashlib
import io

import pytest

from imgrec.data.shards import remote
from imgrec.data.shards.remote import download, file_facts, is_remote, printable_url, read_remote
from imgrec.errors import DataError
from shard_server import serving

DATA = bytes(range(256)) * 20_000  # 5 MB, more than one chunk


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0, 0.0))
    (tmp_path / "f.tar").write_bytes(DATA)
    with serving(tmp_path) as server:
        yield server


def fetch(url, *, size=None, sha256=None):
    file = io.BytesIO()
    download(url, {}, file=file, size=size or len(DATA), sha256=sha256)
    return file.getvalue()


def test_a_file_comes_whole_in_one_request(server):
    assert fetch(f"{server.url}/f.tar", sha256=hashlib.sha256(DATA).hexdigest()) == DATA
    assert server.gets["f.tar"] == 1


def test_its_size_and_time_are_known_before(server):
    facts = file_facts(f"{server.url}/f.tar", {})
    assert facts["size"] == len(DATA)
    assert "Last-Modified" in facts


@pytest.mark.parametrize("fault", ["cut", "short", "other", "503", "500", "429"])
def test_what_fails_for_a_moment_is_tried_again(server, fault):
    server.faults["f.tar"] = [fault, fault]
    assert fetch(f"{server.url}/f.tar", sha256=hashlib.sha256(DATA).hexdigest()) == DATA
    assert server.gets["f.tar"] == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("short", "2,560,000 bytes received, 5,120,000 expected"),
        ("other", r"the content is not that of the index"),
        ("503", "503"),
    ],
)
def test_what_keeps_failing_is_an_error_that_names_the_url(server, fault, message):
    server.faults["f.tar"] = [fault] * 9
    with pytest.raises(DataError, match=rf"^http://127.*/f\.tar could not be fetched after 4 tries: .*{message}"):
        fetch(f"{server.url}/f.tar", sha256=hashlib.sha256(DATA).hexdigest())
    assert server.gets["f.tar"] == 4


@pytest.mark.parametrize("fault", ["403", "401", "410"])
def test_what_is_forbidden_is_not_asked_for_again(server, fault):
    server.faults["f.tar"] = [fault] * 9
    with pytest.raises(DataError, match=f"could not be fetched: {fault}.*is accessible"):
        fetch(f"{server.url}/f.tar")
    assert server.gets["f.tar"] == 1


def test_more_bytes_than_due_are_not_taken(server):
    with pytest.raises(DataError, match="more than 1,000 bytes received, 1,000 expected"):
        fetch(f"{server.url}/f.tar", size=1000)


def test_an_absent_file_is_said(server):
    with pytest.raises(DataError, match=r"/no\.tar does not exist"):
        fetch(f"{server.url}/no.tar")
    with pytest.raises(FileNotFoundError):
        file_facts(f"{server.url}/no.tar", {})


def test_no_server_is_said(monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", (0.0,))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/f\.tar could not be fetched after 2 tries"):
        fetch("http://127.0.0.1:9/f.tar")


def test_a_full_disk_is_not_the_networks_fault(server):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(f"{server.url}/f.tar", {}, file=Full(), size=len(DATA), sha256=None)
    assert server.gets["f.tar"] == 1


def test_a_small_file_is_read_whole_and_a_large_one_refused(server, tmp_path):
    assert read_remote(f"{server.url}/f.tar", {}, at_most=len(DATA)) == DATA
    with pytest.raises(DataError, match=r"has 5,120,000 bytes; at most 10"):
        read_remote(f"{server.url}/f.tar", {}, at_most=10)


def test_other_protocols_are_those_of_fsspec():
    import fsspec

    fsspec.filesystem("memory").pipe("/bucket/f.tar", DATA)
    assert fetch("memory://bucket/f.tar") == DATA
    assert read_remote("memory://bucket/f.tar", {}, at_most=len(DATA)) == DATA


@pytest.mark.parametrize(
    "url",
    ["reference://x", "simplecache::http://h/f", "github://a:b@/x", "ftpp://h/f", "dask://x", "http://h::zip://x"],
)
def test_protocols_that_do_more_than_fetch_are_refused(url):
    with pytest.raises(DataError, match="is not supported"):
        file_facts(url, {})


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    def missing(url, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.url_to_fs", missing)
    with pytest.raises(DataError, match=r"s3:// needs a package .*Run: pip install s3fs$"):
        file_facts("s3://bucket/f.tar", {})


def test_passwords_and_signatures_are_not_shown(server):
    assert printable_url("https://user:secret@h/a.tar?sig=secret#x") == "https://h/a.tar"
    with pytest.raises(DataError) as caught:
        fetch(f"{server.url}/no.tar?sig=secret")
    server.faults["f.tar"] = ["403"]
    with pytest.raises(DataError) as other:
        fetch(f"{server.url}/f.tar?sig=secret")
    assert "secret" not in str(caught.value) + str(other.value)


def test_a_url_has_a_protocol():
    assert is_remote("s3://b/k")
    assert not is_remote("C:/x")
    assert not is_remote("/a://b")
