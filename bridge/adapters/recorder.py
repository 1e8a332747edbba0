"""A recording of the show: H.264 at a constant rate, in a file that has its name only when it is whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path

from bridge.adapters.base import AdapterUnavailable
from bridge.movie import MovieWriter
from engine.frame import Frame


class Recorder:
    """Records each frame at the moment it is sent, since a held picture keeps its old time. Never overwrites a file.

    The moment is rounded to the rate's raster with one period of play, so that a few milliseconds of jitter leave the
    rate constant, and frames that never came leave a picture standing for as long as it stood.
    """

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        if not where:
            raise AdapterUnavailable("a recorder needs a file", "for example recorder:show.mp4")
        self.path = free_name(Path(where))
        self.name = self.path.name
        self._clock = clock
        self._movie: MovieWriter | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size, self._fps = (width, height), fps
        self._movie = MovieWriter(self.path, width, height, Fraction(fps).limit_denominator(1001))
        self._start, self._pts = 0.0, -1

    def send(self, frame: Frame) -> None:
        if frame.size != self._size:
            raise ValueError(f"opened at {self._size}, sent {frame.size}")
        if self._movie is None:
            return
        self._pts = self._place(self._clock())
        try:
            self._movie.write(frame.pixels, self._pts)
        except AdapterUnavailable:
            self._movie = None  # the part stays as it is: it holds all that could be saved
            raise

    def close(self) -> None:
        if self._movie is None:
            return
        movie, self._movie = self._movie, None
        if self._pts < 0:
            movie.abandon()
        else:
            movie.finish()

    def _place(self, now: float) -> int:
        """The raster's next free place, or a later one if that is over a period ago."""
        if self._pts < 0:
            self._start = now
        place = round((now - self._start) * self._fps)
        return place if place > self._pts + 2 else self._pts + 1


def free_name(path: Path) -> Path:
    """`path`, or the first of show-2.mp4, show-3.mp4, ... that neither a recording nor a part of one has."""
    names = (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))
    return next(p for p in names if not p.exists() and not p.with_name(p.name + ".part").exists())
