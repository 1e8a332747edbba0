"""A clock instead of a camera, for models without an input: it says when the next picture is due."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from engine.clock import monotonic
from engine.frame import Frame


class Ticks:
    """An inbox (bridge.worker.main) whose frames show nothing: one is due every 1/fps seconds, from the first look on.

    Ticks that were not looked at in time are all handed out late; leaving some out is the intake's business.
    """

    missed = 0

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._blank = np.zeros((height, width, 3), np.uint8)
        self._period, self._clock, self._sleep = 1 / fps, clock, sleep
        self._start: float | None = None
        self._index = 0

    @property
    def newest_time(self) -> float:
        """When the newest tick there is was due."""
        passed = 0 if self._start is None else max(0, int((self._clock() - self._start) / self._period))
        return self._due(passed)

    def next(self, timeout: float) -> Frame | None:
        """The next tick, waiting for it at most `timeout` seconds; None if it is not due by then."""
        due = self._due(self._index)
        self._sleep(min(timeout, max(0.0, due - self._clock())))
        if self._clock() < due:
            return None
        index, self._index = self._index, self._index + 1
        return Frame(self._blank, due, index)

    def _due(self, index: int) -> float:
        if self._start is None:
            self._start = self._clock()
        return self._start + index * self._period
