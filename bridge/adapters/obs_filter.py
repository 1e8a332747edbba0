"""The filter "Latentcast effect" in OBS as an input: plugins/obs writes what it filters into a ring."""

from __future__ import annotations

import time
from dataclasses import replace

from bridge.errors import AdapterUnavailable, RingError
from bridge.media.picture import stretch_pixels
from bridge.rings.ring import RingReader
from engine.clock import monotonic
from engine.frame import Frame

FIRST = "latentcast-in"  # the ring of the first filter in OBS
RING_TIMEOUT = 2.0  # seconds without a ring before people are told: a source that changes its size takes a moment
POLL_EVERY = 0.05


class ObsFilter:
    """Reads one filter's ring, which comes and goes with the filter and follows the size of its source.

    Pictures are stretched, not cropped: the filter stretches the answer back over its source, so every point of the
    effect lies over the point it was made of. Starting before OBS is fine.
    """

    fps = 0.0  # as fast as OBS draws

    def __init__(self, where: str) -> None:
        self.name = where or FIRST
        self._ring: RingReader | None = None
        self._reported = False  # people know that there is no ring

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        self._lost = monotonic()
        if not self._find() and self._reported:
            raise self._missing()

    def read(self, timeout: float) -> Frame | None:
        if self._ring is None and not self._find():
            self._wait(timeout)
            return None
        assert self._ring is not None
        frame = self._ring.next(timeout)
        if frame is None:
            if self._ring.orphaned:
                self.close()
            return None
        caught = min(frame.time, monotonic())
        return replace(frame, pixels=stretch_pixels(frame.pixels, *self._size), time=caught)

    def close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring, self._lost = None, monotonic()

    def _find(self) -> bool:
        try:
            self._ring = RingReader(self.name)
        except RingError as error:
            self._reason = str(error)
            return False
        self._reported = False
        return True

    def _wait(self, timeout: float) -> None:
        if monotonic() - self._lost > RING_TIMEOUT:
            self._reported = True
            raise self._missing()
        time.sleep(min(timeout, POLL_EVERY))

    def _missing(self) -> AdapterUnavailable:
        hint = "in OBS, add the filter Latentcast effect to a source that is on program, and see its properties"
        return AdapterUnavailable(f"no pictures from OBS: {self._reason}", hint)
