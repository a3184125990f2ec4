"""The checkpoint's file: a digest that notices any change, and a look inside that runs and unfolds nothing."""

import hashlib
import io
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imgrec.core.checkpoint.archive import DigestWriter, verify, verify_file
from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from imgrec.errors import CheckpointError

CONTENT = {"global_step": 3, "state_dict": {"w": torch.arange(20.0), "b": torch.ones(3, dtype=torch.int64)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(CONTENT, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def repack(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> None:
    """Copy an archive record by record; a record changed to None is skipped."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)


def with_pickle(path: Path, pickled: bytes) -> Path:
    """Write a checkpoint without digest whose structure is `pickled`."""
    torch.save(CONTENT, path.with_suffix(".old"))
    repack(path.with_suffix(".old"), path, lambda name, data: pickled if name.endswith("data.pkl") else data)
    return path


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.reduced


# The digest


def test_a_written_checkpoint_is_whole(path: Path) -> None:
    assert verify(path) is True


def test_digest_is_the_sha256_of_all_before_the_comment(path: Path) -> None:
    data = path.read_bytes()
    assert data[-78:] == b"imgrec-sha256:" + hashlib.sha256(data[:-80]).hexdigest().encode()
    assert data[-80:-78] == b"\x4e\x00"


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for position in range(len(data)):
        flipped = data[position] ^ random.Random(position).randint(1, 255)
        damaged = io.BytesIO(data[:position] + bytes([flipped]) + data[position + 1 :])
        assert verify_file(damaged) is False, position


def test_every_flipped_bit_of_the_end_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for bit in range(120 * 8):
        damaged = bytearray(data)
        damaged[-1 - bit // 8] ^= 1 << bit % 8
        assert verify_file(io.BytesIO(damaged)) is False, bit


def test_every_truncation_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        assert verify_file(io.BytesIO(data[:length])) is False, length


def test_appended_bytes_are_noticed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    assert verify(path) is False


def test_file_without_digest_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "other.ckpt")
    torch.save(CONTENT, tmp_path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    assert verify(tmp_path / "other.ckpt") is None
    assert verify(tmp_path / "legacy.ckpt") is None


@pytest.mark.parametrize("mmap", [False, True])
def test_plain_torch_reads_the_file(path: Path, mmap: bool) -> None:
    read = torch.load(path, weights_only=True, mmap=mmap)
    assert torch.equal(read["state_dict"]["w"], CONTENT["state_dict"]["w"])


def test_zip_programs_read_the_file(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"imgrec-sha256:")


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    save_checkpoint(CONTENT, tmp_path / "b.ckpt")
    assert (tmp_path / "b.ckpt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [1, 7, 21, 22, 23, 1000])
def test_digest_does_not_depend_on_how_the_bytes_are_split(size: int) -> None:
    archive = io.BytesIO()
    torch.save(CONTENT, archive)
    data, written = archive.getvalue(), io.BytesIO()
    writer = DigestWriter(written)
    for start in range(0, len(data), size):
        assert writer.write(memoryview(data)[start : start + size]) == len(data[start : start + size])
    writer.finish()
    assert written.getvalue()[:-80] == data[:-2]
    assert written.getvalue()[-64:] == hashlib.sha256(data[:-2]).hexdigest().encode()


def test_damaged_file_is_not_loaded(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        CheckpointError, match=r"a\.ckpt is damaged or truncated.*SHA-256\. Use another checkpoint of the run\."
    ):
        load_checkpoint(path)


# Untrusted files


def test_file_of_another_program_loads_without_digest(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "other.ckpt")
    assert torch.equal(load_checkpoint(tmp_path / "other.ckpt")["state_dict"]["w"], torch.arange(20.0))


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_that_runs_code_is_refused_by_name_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    content = {"state_dict": {}, "hyper_parameters": Call(Path.touch, canary)}
    torch.save(content, tmp_path / "evil.ckpt", pickle_protocol=protocol)
    with pytest.raises(
        CheckpointError, match=r"holds Python objects \(.*Path.*could run code; imgrec does not load it"
    ):
        load_checkpoint(tmp_path / "evil.ckpt")
    assert not canary.exists()


def test_pickle_of_the_first_protocol_is_refused_by_name(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "evil.ckpt", b"(S'touch canary'\nios\nsystem\n.")
    with pytest.raises(CheckpointError, match=r"holds Python objects \(os\.system\)"):
        load_checkpoint(path)


def test_name_that_only_begins_like_an_allowed_one_is_refused(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "evil.ckpt", b"\x80\x02ctorch\ndevice_count\n.")
    with pytest.raises(CheckpointError, match=r"holds Python objects \(torch\.device_count\)"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "claim",
    [
        Call(bytearray, 10**11),
        Call(torch.Tensor, 10**10),
        Call(torch._utils._rebuild_device_tensor_from_cpu_tensor, torch.ones(1), torch.float64, "cpu", False),
    ],
    ids=["bytearray", "Tensor", "conversion"],
)
def test_call_that_takes_memory_is_refused_by_name(tmp_path: Path, claim: Call) -> None:
    torch.save({"state_dict": {}, "x": claim}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match=r"holds Python objects \(.*(bytearray|Tensor|_rebuild)"):
        load_checkpoint(tmp_path / "evil.ckpt")


def test_small_file_of_a_huge_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(1).expand(10**12)}}, tmp_path / "evil.ckpt")
    assert (tmp_path / "evil.ckpt").stat().st_size < 2000
    with pytest.raises(CheckpointError, match=r"claim 4,000,000,000,000 bytes, but hold only 1,\d+"):
        load_checkpoint(tmp_path / "evil.ckpt")


def test_compressed_file_is_refused(path: Path) -> None:
    packed = path.with_name("packed.ckpt")
    repack(path, packed, lambda _, data: data, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed or encrypted records, which PyTorch never writes"):
        load_checkpoint(packed)


def test_structure_out_of_proportion_is_refused(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "evil.ckpt", pickle.dumps([[]] * 10**6, protocol=2))
    with pytest.raises(CheckpointError, match=r"describes its content in 2,\d+,\d+ bytes"):
        load_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile warns where the test makes the file
@pytest.mark.parametrize("name", ["archive/data.pkl", "archive/DATA.PKL"])
def test_two_records_of_one_name_are_refused(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"\x80\x02N.")
        archive.comment = b""
    with pytest.raises(CheckpointError, match="larger than the file, or there twice"):
        load_checkpoint(path)


def test_record_shorter_than_its_tensor_is_refused(path: Path) -> None:
    cut = path.with_name("cut.ckpt")
    repack(path, cut, lambda name, data: data[:4] if name.endswith("data/0") else data)
    with pytest.raises(CheckpointError, match=r"cut\.ckpt cannot be read .*damaged"):
        load_checkpoint(cut)


def test_garbled_pickle_is_damage(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="damaged: its pickle cannot be read"):
        load_checkpoint(with_pickle(tmp_path / "a.ckpt", b"\x80\x02\xff\xff"))


def test_structure_that_names_one_container_a_billion_times_is_read_at_once(tmp_path: Path) -> None:
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested, nested]
    torch.save({"state_dict": {}, "nested": nested}, tmp_path / "a.ckpt")
    assert load_checkpoint(tmp_path / "a.ckpt")["state_dict"] == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a\.ckpt is truncated, or not a checkpoint: it has 0 bytes\. Use another checkpoint of the run\.$"),
        (b"hello", r"a\.ckpt is truncated, or not a checkpoint: it has 5 bytes"),
        (b"hello, I am no checkpoint at all", r"not a checkpoint of PyTorch.*model\.weights=PATH"),
        (b"PK\x03\x04" + bytes(100), "damaged or truncated"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize("names", [["a/other.txt"], ["a/data.pkl", "a/constants.pkl"]])
def test_other_archives_are_told_apart(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}.")
    with pytest.raises(CheckpointError, match="a TorchScript model, or another ZIP"):
        load_checkpoint(tmp_path / "a.ckpt")


def test_archive_of_something_else_than_a_dict_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="holds a value of type list, not a dict"):
        load_checkpoint(tmp_path / "a.ckpt")


def test_mutated_files_give_a_message_or_a_dict(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "other.ckpt")
    data, chance, refused = (tmp_path / "other.ckpt").read_bytes(), random.Random(0), 0
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(chance.choice([1, 1, 4])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        (tmp_path / "a.ckpt").write_bytes(changed)
        try:
            assert isinstance(load_checkpoint(tmp_path / "a.ckpt"), dict)
        except CheckpointError:
            refused += 1
    assert refused > 50
