"""A recording of the show: H.264 in a file that has its name only when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path

from bridge.adapters.base import AdapterUnavailable
from bridge.movie import MovieWriter
from bridge.pacing import SteadyClock
from bridge.paths import typed_path
from engine.clock import monotonic
from engine.frame import Frame

TICK = Fraction(1, 90000)  # seconds; what timestamps are counted in


class Recorder:
    """Records each frame at the moment it is sent, since a held picture keeps its old time. Never overwrites a file.

    The moments are freed of jitter, whatever the rate really is; a real gap stays as long as it was.
    """

    def __init__(self, where: str, clock: Callable[[], float] = monotonic) -> None:
        if not where:
            raise AdapterUnavailable("a recorder needs a file", "for example recorder:show.mp4")
        self.path = free_name(typed_path(where))
        self.name = self.path.name
        self._clock = clock
        self._movie: MovieWriter | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size = width, height
        self._movie = MovieWriter(self.path, width, height, Fraction(fps).limit_denominator(1001), TICK, durable=True)
        self._steady = SteadyClock()
        self._start: float | None = None

    def send(self, frame: Frame) -> None:
        if frame.size != self._size:
            raise ValueError(f"opened at {self._size}, sent {frame.size}")
        if self._movie is None:
            return
        moment = self._steady.place(self._clock())
        self._start = moment if self._start is None else self._start
        try:
            self._movie.write(frame.pixels, round((moment - self._start) / TICK))
        except AdapterUnavailable:
            self._movie = None  # the part stays as it is: it holds all that could be saved
            raise

    def close(self) -> None:
        if self._movie is None:
            return
        movie, self._movie = self._movie, None
        if self._start is None:
            movie.abandon()
        else:
            movie.finish()


def free_name(path: Path) -> Path:
    """`path`, or the first of show-2.mp4, show-3.mp4, ... that neither a recording nor a part of one has."""
    names = (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))
    return next(p for p in names if not p.exists() and not p.with_name(p.name + ".part").exists())
