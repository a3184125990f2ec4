"""The headers of tar files, honest and hostile. Python's tarfile is the independent reader."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from imgrec.data.shards import tar_members
from imgrec.data.shards.tar_members import TarReader
from imgrec.errors import DataError
from tar_files import special, tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def read(data: bytes) -> list[tuple[str, bytes]]:
    """Return names and contents as imgrec sees them."""
    members = TarReader(io.BytesIO(data), "x.tar").members()
    return [(member.name, data[member.offset : member.offset + member.size]) for member in members]


MEMBERS = [
    ("0001.jpg", b"image"),
    ("0001.cls", b"3"),
    ("folder/0002.jpg", bytes(700)),
    ("empty.txt", b""),
    ("f" * 80 + "/" + "n" * 60 + ".png", b"x" * 512),
]


@pytest.mark.parametrize("format", FORMATS)
def test_members_are_those_that_python_finds(format):
    members = MEMBERS
    if format != "ustar":
        members = [*MEMBERS, ("ä/ö日本.jpg", b"u"), ("l" * 300 + ".jpg", b"long")]
    data = tar(*members, format=FORMATS[format])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(info.name, archive.extractfile(info).read(), info.offset_data) for info in archive]
    reader = TarReader(io.BytesIO(data), "x.tar")
    found = [(member.name, data[member.offset :][: member.size], member.offset) for member in reader.members()]
    assert found == expected
    assert not reader.excluded


def test_a_time_and_an_owner_in_a_pax_header_are_no_matter():
    info = tarfile.TarInfo("a.jpg")
    info.mtime, info.uname = 1.5, "ü"
    assert read(tar(info, format=tarfile.PAX_FORMAT)) == [("a.jpg", b"")]
    assert read(tar(("b.jpg", b"1"), format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"})) == [("b.jpg", b"1")]


def test_folders_are_passed_over():
    assert read(tar(special("f", tarfile.DIRTYPE), ("f/a.jpg", b"1"))) == [("f/a.jpg", b"1")]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (special("a.jpg", tarfile.SYMTYPE, "/etc/passwd"), "symbolic link"),
        (special("a.jpg", tarfile.LNKTYPE, "b.jpg"), "hard link"),
        (special("a.jpg", tarfile.CHRTYPE), "device"),
        (special("a.jpg", tarfile.BLKTYPE), "device"),
        (special("a.jpg", tarfile.FIFOTYPE), "pipe"),
        (("/etc/a.jpg", b"1"), "name that leads outside the shard"),
        (("../a.jpg", b"1"), "name that leads outside the shard"),
        (("x/../../a.jpg", b"1"), "name that leads outside the shard"),
    ],
)
def test_what_leads_elsewhere_is_excluded_and_counted(member, reason):
    data = tar(member, ("b.jpg", b"2"))
    reader = TarReader(io.BytesIO(data), "x.tar")
    assert [found.name for found in reader.members()] == ["b.jpg"]
    assert reader.excluded == {reason: 1}


def test_a_hard_link_that_states_a_size_has_no_content_all_the_same():
    link = special("a.jpg", tarfile.LNKTYPE, "b.jpg")
    link.size = 4000
    data = link.tobuf(tarfile.USTAR_FORMAT) + tar(("b.jpg", b"2"))
    assert read(data) == [("b.jpg", b"2")]


def pax(key: str, value: str, *, kind: bytes = b"x") -> bytes:
    """Return an extended header that says one thing."""
    record = f" {key}={value}\n".encode()
    length = len(record) + 2
    record = f"{length}".encode() + record
    info = special("PaxHeader", kind)
    info.size = len(record)
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (pax("size", "0"), "its own size"),
        (pax("GNU.sparse.major", "1"), r"its own GNU\.sparse\.major"),
        (pax("path", "other.jpg", kind=b"g"), "its own path"),
        (special("s", b"S").tobuf(tarfile.GNU_FORMAT), "unknown or sparse type"),
        (special("s", b"Z").tobuf(tarfile.GNU_FORMAT), "unknown or sparse type"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(start, message):
    with pytest.raises(DataError, match=message):
        read(start + tar(("a.jpg", b"1")))


def test_an_endless_extended_header_is_not_read():
    info = special("PaxHeader", b"x")
    info.size = 1 << 20
    with pytest.raises(DataError, match=r"extended header of 1,048,576 bytes; at most 65,536"):
        read(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20) + tar(("a.jpg", b"1")))


@pytest.mark.parametrize("digits", [b"\xff" * 12, b"-0000000001\0", b"00000000009\0"])
def test_a_size_that_is_no_number_is_refused(digits):
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = digits
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    with pytest.raises(DataError, match="size is no number, or below 0"):
        read(bytes(header) + bytes(1024))


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr(tar_members, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="more than 3 members"):
        read(tar(*MEMBERS))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no tar file"),
        (b"hello" * 300, "is no tar file"),
        (b"\x1f\x8b\x08" + bytes(600), "is compressed.*plain .tar"),
        (tar(*MEMBERS)[:5000].rstrip(b"\0") , "is truncated"),
        (tar(*MEMBERS) + tar(*MEMBERS), "has content after its end mark"),
        (b"".join([tar(("a.jpg", b"1"))[:1024], b"no header".ljust(512)]), "no header where one is due, at byte 1,024"),
        (tar(("a.jpg", b"1"))[:1024], "has no end mark"),
    ],
)  # fmt: skip
def test_what_is_no_whole_plain_tar_is_refused(data, message):
    with pytest.raises(DataError, match=message):
        read(data)


def test_wherever_a_shard_is_cut_it_is_noticed():
    data = tar(*MEMBERS)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for size in range(0, end, 97):
        with pytest.raises(DataError):
            read(data[:size])


def test_damage_is_a_data_error_or_nothing():
    """5,000 changed bytes: no other error, and no member that reaches out of the file."""
    random = np.random.default_rng(0)
    whole = tar(*MEMBERS, ("l" * 300 + ".jpg", b"long"), format=tarfile.PAX_FORMAT)
    num_refused = 0
    for _ in range(5000):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            data[place] = random.integers(0, 256)
        try:
            for member in TarReader(io.BytesIO(bytes(data)), "x.tar").members():
                assert 0 <= member.offset <= member.offset + member.size <= len(data)
        except DataError:
            num_refused += 1
    assert num_refused > 1000


def test_nothing_is_written_anywhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read(tar(("../a.jpg", b"1"), ("b.jpg", b"2"), special("c", tarfile.SYMTYPE, "/etc")))
    assert not list(tmp_path.iterdir())
