"""What the source showed while the engine worked on it, so that a mixture is of one moment. Pure."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from bridge.media.picture import Picture, stretch_pixels
from engine.frame import Frame

MAX_AGE = 10.0  # between the newest frame and the oldest; no engine is as late as that and still worth mixing
MAX_BYTES = 256 * 2**20  # bytes of pictures: 1.4 s of 1920x1080 at 30 a second


class History:
    """Frames by the moment they were captured, from the one that the engine's picture on screen was made of.

    None is left out for want of room: where all of them would not fit into `room` at their own size, the newer ones
    are kept at a half, a third ... of their width and height.
    """

    def __init__(self, seconds: float = MAX_AGE, room: int = MAX_BYTES) -> None:
        self._seconds, self._room = seconds, room
        self._pictures: dict[float, Picture] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def size(self) -> int:
        """Bytes of all the pictures."""
        return sum(picture.nbytes for picture in self._pictures.values())

    def add(self, frame: Frame, expected: float = 0.0) -> None:
        """Keep a frame that just came. expected: how many there will be, if that is known to be more than now."""
        count = max(len(self._pictures) + 1, expected)
        self._pictures[frame.time] = _smaller(frame.pixels, ceil(sqrt(count * frame.pixels.nbytes / self._room)))
        self.forget_before(frame.time - self._seconds)

    def forget_before(self, time: float) -> None:
        """Let go of what was captured before `time`."""
        while self._pictures and (oldest := next(iter(self._pictures))) < time:
            del self._pictures[oldest]

    def find(self, time: float, width: int, height: int) -> Picture | None:
        """The frame captured at `time`, at this size; None if it is not known."""
        picture = self._pictures.get(time)
        return None if picture is None else stretch_pixels(picture, width, height, "BILINEAR")


def _smaller(picture: Picture, factor: int) -> Picture:
    """Every `factor`-th pixel of every `factor`-th row: it must cost little, for most are never asked for."""
    return np.ascontiguousarray(picture[factor // 2 :: factor, factor // 2 :: factor]) if factor > 1 else picture
