"""Frames of videos and cameras."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from imgrec.data.images.limits import MAX_PIXELS, refuse_too_small
from imgrec.deploy.predict.files import identify
from imgrec.deploy.predict.item import Item, bad_item
from imgrec.errors import DataError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["VIDEO_SUFFIXES", "CameraSource", "Pace", "VideoSource"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".ogv"})
_MISSING = 0.02  # the share of the announced frames that may be missing: containers only estimate


@dataclass(frozen=True)
class Pace:
    """Which frames are taken: every n-th, or, where `every` is None, the first of each 1 / `per_second` seconds."""

    every: int | None = None
    per_second: float = 1.0

    def picker(self) -> Callable[[int, float], bool]:
        """Return a function from number and time in s of a frame, called in order, to whether the frame is taken."""
        last = -1

        def is_due(number: int, time_s: float) -> bool:
            nonlocal last
            place = time_s * self.per_second + 1e-6 if self.every is None else number / self.every
            is_new, last = int(place) > last, max(int(place), last)
            return is_new

        return is_due

    def expected(self, frames: float, rate: float) -> int:
        """Return the approximate number of frames taken, of `frames` at `rate` per second."""
        if self.every is not None:
            return ceil(frames / self.every)
        return ceil(min(frames, frames / rate * self.per_second)) if rate > 0 else ceil(frames)


class VideoSource:
    """Frames of a video file.

    A file that cannot be opened gives one item with an error; so does, as the last item, a video with fewer frames
    than its header announces.
    """

    has_time = True

    def __init__(self, path: str, pace: Pace) -> None:
        self._path = path
        self._pace = pace
        capture = _open_video(path)
        self._frames, self._rate = _announced(capture)
        capture.release()

    @property
    def expected(self) -> int:
        """Approximate number of frames taken."""
        return max(1, self._pace.expected(self._frames, self._rate))

    def items(self) -> Iterator[Item]:
        """Yield the frames taken, as they are decoded."""
        capture = _open_video(self._path)
        try:
            yield from self._items(capture)
        finally:
            capture.release()

    def identity(self) -> Iterator[str]:
        """Yield what identifies the file and the frames."""
        yield f"{identify(self._path)}\0{self._pace}"

    def _items(self, capture: Any) -> Iterator[Item]:
        problem = _problem_of(capture)
        if problem:
            yield bad_item(self._path, *problem)
            return
        number = 0
        is_wanted = self._pace.picker()
        while capture.grab():
            time_s = _time_s(capture, number, self._rate)
            if is_wanted(number, time_s):
                yield _frame_item(capture, self._path, number, time_s)
            number += 1
        if number == 0:
            yield bad_item(self._path, "not_a_video", "no frame of it can be decoded")
        elif number < self._frames * (1 - _MISSING) - 1:
            detail = f"ends after {number:,} of {self._frames:,.0f} frames"
            yield bad_item(self._path, "truncated", detail, frame=number)


class CameraSource:
    """Frames of a camera until Ctrl-C; number 0 is the first camera.

    Raises:
        DataError: The camera cannot be opened.
    """

    has_time = True
    expected = None

    def __init__(self, number: int, pace: Pace) -> None:
        self._name = f"camera:{number}"
        self._pace = pace
        self._capture = _quiet_cv2().VideoCapture(number)
        if not self._capture.isOpened():
            raise DataError(f"{self._name} cannot be opened. Is it connected, free, and allowed for this user?")

    def items(self) -> Iterator[Item]:
        """Yield frames until Ctrl-C, or until the camera has no more; only the first call does."""
        is_wanted = self._pace.picker()
        start = time.monotonic()
        number = 0
        try:
            while self._capture.grab():
                time_s = time.monotonic() - start
                if is_wanted(number, time_s):
                    yield _frame_item(self._capture, self._name, number, time_s)
                number += 1
        except KeyboardInterrupt:  # the way to stop a camera: frames already read are still predicted
            return
        finally:
            self._capture.release()

    def identity(self) -> None:
        """Return None: the frames cannot be read again."""
        return


def _open_video(path: str) -> Any:
    # FFmpeg reads playlists too, whatever the name of the file: they must not lead it to the network.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    cv2 = _quiet_cv2()
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG)


def _quiet_cv2() -> Any:
    """Return OpenCV with its messages and those of FFmpeg off: a damaged video is reported in its row."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _announced(capture: Any) -> tuple[float, float]:
    """Return the number of frames and the frame rate by the header of a video; 0 where it has none."""
    import cv2

    frames, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    return (frames if frames > 0 else 0.0), (rate if rate > 0 else 0.0)


def _problem_of(capture: Any) -> tuple[str, str] | None:
    import cv2

    if not capture.isOpened():
        return "not_a_video", "not a video that can be decoded here"
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width * height > MAX_PIXELS:
        return "too_large", f"frames of {width:.0f}x{height:.0f} px; at most {MAX_PIXELS:,} pixels"
    return None


def _time_s(capture: Any, number: int, rate: float) -> float:
    """Return the time of the frame just grabbed; from its number where the container has no times."""
    import cv2

    stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    return float(stamp if stamp > 0 or number == 0 or not rate else number / rate)


def _frame_item(capture: Any, name: str, number: int, time_s: float) -> Item:
    import cv2

    is_there, frame = capture.retrieve()
    if not is_there:
        return bad_item(name, "damaged", "this frame cannot be decoded", frame=number)
    pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    time_s = round(max(time_s, 0.0), 3)
    return Item(name, partial(_open_frame, pixels, f"{name}#frame={number}"), number, time_s, in_memory=True)


def _open_frame(pixels: Any, name: str) -> "LazyImage":
    from imgrec.data.images.lazy_image import DecodedImage

    refuse_too_small((pixels.shape[0], pixels.shape[1]), name=name)
    return DecodedImage(pixels)
