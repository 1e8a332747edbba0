"""Which frames the engine gets when it cannot have them all."""

from __future__ import annotations

SMOOTHING = 0.3  # weight of the newest chunk in what is known of the engine's speed
MAX_CREDIT = 2.0  # frames: allows for a camera's jitter, not for a burst of frames after a pause
MAX_LAG = 0.1  # seconds a frame may always lie behind the newest one


class Intake:
    """Thins a stream evenly to what the engine sustains, by the frames' own times: every third frame left out, never
    a second of them. What lies too far behind is left out whole, so the backlog is bounded and the newest wins.

    dropped: frames left out so far.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._chunk = 0.0  # seconds a chunk takes
        self._rate = 0.0  # frames per second the engine sustains; 0 while unknown
        self._credit = 1.0
        self._last: float | None = None

    def takes(self, time: float, newest: float) -> bool:
        """Whether the engine is to have the frame captured at `time`, the newest so far being of time `newest`."""
        self._credit = min(self._credit + self._earned(time), MAX_CREDIT)
        self._last = time
        if not self._rate:
            return True
        if newest - time > 2 * self._chunk + MAX_LAG or self._credit < 1.0:
            self.dropped += 1
            return False
        self._credit -= 1.0
        return True

    def learn(self, frames: int, seconds: float, behind: float) -> None:
        """Take account of a chunk: `frames` were done in `seconds`, begun `behind` seconds behind the newest frame.

        To begin a chunk behind is a sign of having taken too much; the rate gives way until that is worked off.
        """
        if frames < 1 or seconds <= 0.0:
            return
        self._chunk += (SMOOTHING if self._chunk else 1.0) * (seconds - self._chunk)
        self._rate = frames / self._chunk / (1.0 + max(0.0, behind) / (4 * self._chunk))

    def _earned(self, time: float) -> float:
        """Frames the engine could have done since the last one; after a jump in time, one."""
        passed = time - self._last if self._last is not None else 0.0
        return passed * self._rate if 0.0 <= passed < 1.0 else 1.0
