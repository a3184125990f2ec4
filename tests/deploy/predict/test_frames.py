"""Frames of videos and cameras: which are taken, with path, frame index and time."""

from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from imgrec.deploy.predict.frames import CameraSource, Pace, VideoSource
from imgrec.deploy.predict.inputs import read_inputs
from imgrec.errors import DataError, ImageError

RATE = 10


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s at 10 frames a second; frame i has blue i * 8, no green and red 200."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (64, 48))
    assert writer.isOpened()
    for number in range(30):
        writer.write(np.full((48, 64, 3), (number * 8, 0, 200), dtype=np.uint8))
    writer.release()
    return path


def frames(source: Any) -> list[tuple[int | None, float | None]]:
    return [(item.frame, item.time_s) for item in source.items()]


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Pace(every=12), [0, 12, 24]),
        (Pace(), [0, 10, 20]),
        (Pace(per_second=2), [0, 5, 10, 15, 20, 25]),
        (Pace(per_second=4), [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28]),
        (Pace(per_second=0.4), [0, 25]),
        (Pace(per_second=1000), list(range(30))),
    ],
)
def test_frames_are_taken_by_number_or_by_time(film, pace, expected):
    source = VideoSource(str(film), pace)
    assert frames(source) == [(number, number / RATE) for number in expected]
    assert frames(source) == frames(source)
    assert source.expected == len(expected)


def test_a_frame_is_rgb_with_the_path_and_its_index(film):
    item = next(islice(VideoSource(str(film), Pace(every=10)).items(), 1, None))
    assert (item.name, item.frame) == (str(film), 10)
    red, green, blue = item.open().pixels().mean(axis=(0, 1))
    assert abs(red - 200) < 12
    assert green < 12
    assert abs(blue - 80) < 12


def test_a_video_among_the_arguments_is_found_by_its_suffix_and_has_a_time(film):
    inputs = read_inputs([str(film)], lists=(), path_column="path", pace=Pace(every=20))
    assert [item.time_s for item in inputs.items()] == [0.0, 2.0]
    assert inputs.has_time
    assert inputs.digest() != read_inputs([str(film)], lists=(), path_column="path", pace=Pace(every=10)).digest()


def reasons(path: Path) -> list[str]:
    codes = []
    for item in VideoSource(str(path), Pace(every=1)).items():
        try:
            item.open()
            codes.append("ok")
        except ImageError as error:
            codes.append(error.code)
    return codes


def test_a_file_that_is_not_a_video_is_one_error(tmp_path):
    path = tmp_path / "a.mp4"
    for content in (b"", b"text", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"):
        path.write_bytes(content)
        assert reasons(path) == ["not_a_video"]


def test_a_truncated_video_is_reported_in_its_last_row(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 48))
    for number in range(30):
        writer.write(np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = reasons(path)
    assert found[-1] == "truncated"
    assert set(found[:-1]) == {"ok"}
    assert 5 < len(found) < 25


class FakeCamera:
    """Sees three frames; then somebody presses Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.is_open = number == 0
        self.seen = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.is_open

    def grab(self) -> bool:
        self.seen += 1
        if self.seen > 3:
            raise KeyboardInterrupt
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return self.seen != 2, np.zeros((20, 20, 3), dtype=np.uint8)

    def release(self) -> None:
        self.is_open = False


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)


def test_a_camera_runs_until_ctrl_c_and_a_lost_frame_is_an_error(camera):
    source = CameraSource(0, Pace(every=1))
    items = list(source.items())
    assert [(item.name, item.frame) for item in items] == [("camera:0", number) for number in range(3)]
    with pytest.raises(ImageError, match="cannot be decoded"):
        items[1].open()
    assert items[0].open().pixels().shape == (20, 20, 3)
    assert (source.expected, source.identity()) == (None, None)


def test_a_camera_that_is_not_there_is_refused(camera):
    with pytest.raises(DataError, match=r"camera:7 cannot be opened\. Is it connected"):
        CameraSource(7, Pace())


def test_frames_larger_than_an_image_may_be_are_refused_before_they_are_decoded(film, monkeypatch):
    monkeypatch.setattr("imgrec.deploy.predict.frames.MAX_PIXELS", 1000)
    assert reasons(film) == ["too_large"]


def test_a_container_without_times_is_timed_by_frame_index():
    from imgrec.deploy.predict.frames import _time_s

    silent = SimpleNamespace(get=lambda _: 0.0)
    assert _time_s(silent, 5, 10.0) == 0.5
    assert _time_s(silent, 5, 0.0) == 0.0
