"""How long a process has been silent, counting only the time in which this process could have noticed."""

from __future__ import annotations

from collections.abc import Callable

from engine.clock import monotonic

CHECK_EVERY = 0.25  # seconds between two looks
MAX_CHECK_GAP = 1.0  # seconds that a look counts at most


class Silence:
    """Seconds since the last sign of life, while this process itself ran. Call `look` every CHECK_EVERY seconds.

    A suspended laptop, Ctrl-Z, or a virtual machine that stood still make one look late, and a late look counts as
    MAX_CHECK_GAP seconds: who listens has to be awake to say that nobody spoke.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.end()

    def end(self) -> None:
        """There was a sign of life."""
        self._seconds, self._looked = 0.0, self._clock()

    def look(self) -> float:
        """How many seconds it has lasted by now."""
        now = self._clock()
        self._seconds += min(now - self._looked, MAX_CHECK_GAP)
        self._looked = now
        return self._seconds
