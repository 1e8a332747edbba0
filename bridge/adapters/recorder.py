"""A recording of the show: H.264 in a file that has its name only when it is whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from bridge.errors import AdapterUnavailable
from bridge.media.movie import MovieWriter
from bridge.media.pacing import SteadyClock
from bridge.media.part import numbered, part_of
from bridge.media.paths import typed_path
from engine.clock import monotonic
from engine.frame import Frame

log = logging.getLogger("recorder")
TICK = Fraction(1, 90000)  # seconds; what timestamps are counted in


class Recorder:
    """Records each frame at the moment it is sent, since a held picture keeps its old time. Never overwrites a file.

    The moments are freed of jitter, whatever the rate really is; a real gap stays as long as it was.
    """

    def __init__(self, where: str, clock: Callable[[], float] = monotonic) -> None:
        if not where:
            raise AdapterUnavailable("a recorder needs a file", "for example recorder:show.mp4")
        self._wanted = typed_path(where)
        self._is_called(self._wanted)
        self._clock = clock
        self._movie: MovieWriter | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size = width, height
        rate = Fraction(fps).limit_denominator(1001)
        while self._movie is None:
            path = free_name(self._wanted)
            with suppress(FileExistsError):  # somebody was quicker: another name
                self._movie = MovieWriter(path, width, height, rate, TICK, durable=True)
                self._is_called(path)
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
            if movie.path != self.path:
                log.warning("%s was made by another program meanwhile: recorded as %s", self.name, movie.path.name)
            self._is_called(movie.path)

    def _is_called(self, path: Path) -> None:
        self.path, self.name, self.part = path, path.name, part_of(path)


def free_name(path: Path) -> Path:
    """`path`, or the first of show-2.mp4, show-3.mp4, ... that neither a recording nor a part of one has."""
    taken = os.path.lexists  # a link that leads nowhere is somebody's too
    return next(name for name in numbered(path) if not taken(name) and not taken(part_of(name)))
