"""Images in archives, and archives that are traps."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from imgrec.deploy.predict.frames import Pace
from imgrec.deploy.predict.inputs import Inputs, read_inputs
from imgrec.errors import DataError, ImageError
from small_bundle import sample_image


def archive(path: Path, members: dict[str, bytes], *, packed: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def read(path: Path) -> Inputs:
    return read_inputs([str(path)], lists=(), path_column="path", pace=Pace())


def outcomes(path: Path) -> dict[str, str]:
    found = {}
    for item in read(path).items():
        try:
            item.open().pixels()
            found[item.name.removeprefix(str(path))] = "ok"
        except ImageError as error:
            found[item.name.removeprefix(str(path))] = error.code
    return found


def test_members_are_images_sorted_by_name_and_others_are_skipped(tmp_path):
    png = sample_image(0, 0, 255)
    path = archive(
        tmp_path / "p.zip",
        {"b/2.png": png, "a.jpg": png, "b/no_suffix": png, "x.txt": b"x", "__MACOSX/a.png": png, "./c.png": png},
    )
    assert list(outcomes(path)) == ["#./c.png", "#a.jpg", "#b/2.png", "#b/no_suffix"]
    assert set(outcomes(path).values()) == {"ok"}
    assert [note.replace(str(path), "p.zip") for note in read(path).notes] == [
        "Skipped 1 entry (hidden, in p.zip): __MACOSX/a.png.",
        "Skipped 1 entry (not an image that imgrec reads, in p.zip): x.txt.",
    ]
    assert read(path).expected == 4


def test_names_that_lead_out_of_the_archive_are_refused_by_name(tmp_path):
    png = sample_image(0, 0, 255)
    names = ["../up.png", "/etc/a.png", "C:/a.png", "a/../../b.png", "good.png", "a\\..\\..\\b.png"]
    found = outcomes(archive(tmp_path / "p.zip", dict.fromkeys(names, png)))
    assert found == {f"#{name}": "ok" if name == "good.png" else "unsafe_name" for name in names}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.zip"]


def test_what_grows_out_of_all_proportion_is_refused_unread_and_the_rest_is_read(tmp_path):
    members = {"bomb.png": bytes(64 << 20), "good.png": sample_image(1, 2, 3)}
    path = archive(tmp_path / "p.zip", members)
    assert path.stat().st_size < 100_000
    assert outcomes(path) == {"#bomb.png": "zip_bomb", "#good.png": "ok"}


def test_a_member_of_huge_declared_size_is_refused_unread(tmp_path):
    path = archive(tmp_path / "p.zip", {"a.png": sample_image(1, 2, 3)})
    data = path.read_bytes()
    place = data.index(b"PK\x01\x02") + 24
    path.write_bytes(data[:place] + struct.pack("<I", 3 << 30) + data[place + 4 :])
    assert outcomes(path) == {"#a.png": "too_large"}


def test_encrypted_members_are_refused_by_name(tmp_path):
    path = archive(tmp_path / "p.zip", {"a.png": sample_image(1, 2, 3)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert outcomes(path) == {"#a.png": "encrypted"}


def test_a_damaged_member_is_a_row_and_so_is_one_packed_in_an_unknown_way(tmp_path):
    path = archive(tmp_path / "p.zip", {"a.png": sample_image(1, 2, 3), "b.png": sample_image(4, 5, 6)}, packed=False)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 4] ^= 255
    last = data.rindex(b"PK\x01\x02")
    data[last + 10 : last + 12] = struct.pack("<H", 99)
    path.write_bytes(data)
    assert outcomes(path) == {"#a.png": "damaged", "#b.png": "unsupported"}


def test_members_that_share_their_bytes_make_the_archive_one_bad_row(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.png", sample_image(1, 2, 3))
        for number in range(50):
            copy = zipfile.ZipInfo(f"{number}.png")
            for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(copy, field, getattr(file.filelist[0], field))
            file.filelist.append(copy)
        file._didModify = True  # type: ignore[attr-defined]
    path = tmp_path / "p.zip"
    path.write_bytes(buffer.getvalue())
    if sum(one.compress_size for one in zipfile.ZipFile(path).infolist()) <= path.stat().st_size:
        pytest.skip("this zipfile writes its directory from elsewhere")
    assert outcomes(path) == {"": "zip_bomb"}


def test_what_is_no_archive_is_one_bad_row_and_an_empty_one_has_no_images(tmp_path):
    (tmp_path / "p.zip").write_bytes(b"PK\x03\x04 not really")
    assert outcomes(tmp_path / "p.zip") == {"": "damaged"}
    with pytest.raises(DataError, match="No images found"):
        read(archive(tmp_path / "e.zip", {}))
