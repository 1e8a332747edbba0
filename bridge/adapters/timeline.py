"""A film's own time on the clock that all processes share, and pictures that are computed for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.clock import monotonic
from engine.frame import Frame

MAX_LAG = 0.25  # seconds; a film that fell behind by more goes on from now instead of racing to catch up


class Timeline:
    """Says when a moment of a film is due. The first one asked for is due at once."""

    def __init__(self) -> None:
        self._start: float | None = None

    def due(self, moment: float) -> float:
        """Seconds into the film -> seconds on the clock, never more than MAX_LAG behind it."""
        now = monotonic()
        if self._start is None or self._start + moment < now - MAX_LAG:
            self._start = now - moment
        return self._start + moment


class Drawn:
    """A source whose pictures are computed, each from nothing but its number. Opens always; never ends."""

    name = ""
    fps = 30.0

    def __init__(self, where: str = "") -> None:
        self._timeline = Timeline()
        self._index = 0

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self.fps = fps or self.fps
        self._prepare(width, height)

    def read(self, timeout: float) -> Frame | None:
        index, self._index = self._index, self._index + 1
        return Frame(self._draw(index), self._timeline.due(index / self.fps), index)

    def close(self) -> None:
        """Nothing is held."""

    def _prepare(self, width: int, height: int) -> None:
        """Compute once what every picture shares."""
        raise NotImplementedError

    def _draw(self, index: int) -> NDArray[np.uint8]:
        """Picture number `index`, uint8 [H, W, 3]."""
        raise NotImplementedError
