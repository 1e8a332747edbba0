"""How long a process has given no sign of life, as far as anybody could have heard one."""

from __future__ import annotations

from collections.abc import Callable

from engine.clock import monotonic

LOOK = 0.25  # seconds between two looks
LONGEST_LOOK = 1.0  # seconds that a look counts at most


class Silence:
    """Seconds since the last sign of life, out of those in which this process ran itself. Look every LOOK seconds.

    A suspended laptop, Ctrl-Z, or a virtual machine that stood still make one look late, and a late look counts as
    LONGEST_LOOK seconds: who listens has to be awake to say that nobody spoke.
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
        self._seconds += min(now - self._looked, LONGEST_LOOK)
        self._looked = now
        return self._seconds
