"""Time made even: pictures that come in bursts leave one by one. Pure: moments are passed in, no clock is read."""

from __future__ import annotations

from collections import deque

from engine.frame import Frame

BURST = 4  # pictures that an engine finishes at once, unless it says otherwise: four to a latent frame
SPARE_BURSTS = 24  # bursts; a picture that was in store all that time was never needed
RATE_TIMEOUT = 4.0  # seconds without a picture, after which what was known of their rate says nothing


class Pacer:
    """Lets pictures go one at a time, in order, at the source's rate or, if the engine cannot keep up, at its own.

    Two pictures are never closer than half a source period. At most two bursts wait; what would lie longer is left
    out, one picture at a time, so that the newest is never far.

    period: seconds between two pictures of the source.
    burst:  pictures that an engine finishes at once, at most.
    """

    def __init__(self, period: float, burst: int = BURST) -> None:
        self.period, self.burst = period, burst
        self._waiting: deque[Frame] = deque()
        self._arrivals: deque[float] = deque(maxlen=4 * burst + 1)
        self._stores: deque[int] = deque(
            maxlen=SPARE_BURSTS * burst
        )  # how many waited just before each of the last arrivals
        self._due = 0.0
        self._since_skip = 0

    def push(self, frame: Frame, now: float) -> None:
        """Take in a finished picture."""
        if self._arrivals and now - self._arrivals[-1] > RATE_TIMEOUT:
            self._arrivals.clear()
            self._stores.clear()
        self._arrivals.append(now)
        self._stores.append(len(self._waiting))
        self._waiting.append(frame)
        while len(self._waiting) > 2 * self.burst:
            self._waiting.popleft()

    def pop(self, now: float) -> Frame | None:
        """The picture to show from now on, or None to go on with the one that is on."""
        if not self._waiting or now < self._due - self.period / 4:
            return None
        self._skip_if_late()
        self._due = min(max(self._due + self.cadence, now + 0.75 * self.period), now + self.cadence)
        return self._waiting.popleft()

    @property
    def cadence(self) -> float:
        """Seconds between two pictures as they leave: the source's period, stretched if the engine is slower."""
        mean = self._mean_gap()
        if mean < 1.1 * self.period:
            return self.period
        return mean * min(
            max(1.1 - 0.1 * self._low(2 * self.burst), 0.7), 1.1
        )  # one picture in store keeps a late burst from showing

    @property
    def burst_gap(self) -> float:
        """Seconds between two bursts, as far as is known."""
        return self.burst * max(self._mean_gap(), self.period)

    def _low(self, arrivals: int) -> int:
        """How many pictures lay in store all through the last `arrivals`, thus only made everything late."""
        known = list(self._stores)[-arrivals:]
        return min(known) if len(known) == arrivals else 0

    def _mean_gap(self) -> float:
        arrived = self._arrivals
        if len(arrived) <= self.burst:
            return self.period
        return (arrived[-1] - arrived[0]) / (len(arrived) - 1)

    def _skip_if_late(self) -> None:
        self._since_skip += 1
        late = self._low(2 * self.burst) > self.burst
        if self.cadence == self.period:  # else it can also be hurried
            late = self._low(2 * self.burst) > 1 or self._low(SPARE_BURSTS * self.burst) > 0
        if late and len(self._waiting) > 1 and self._since_skip > self.burst:
            self._waiting.popleft()
            self._stores.clear()
            self._since_skip = 0


class Thinner:
    """Leaves frames out, evenly, so that at most `fps` a second remain; none for 0."""

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps if fps else 0.0
        self._next = float("-inf")

    def takes(self, time: float) -> bool:
        """Whether the frame captured at `time` stays."""
        if time < self._next - 0.4 * self._period:  # some play: a camera's frames never come evenly
            return False
        self._next = (self._next if time - self._next < self._period else time) + self._period
        return True


class Rate:
    """The rate of a source, from its frames' own times.

    period: seconds between two frames; a guess until some have come.
    """

    def __init__(self, period: float = 1 / 30) -> None:
        self.period = period
        self._times: deque[float] = deque(maxlen=32)

    def add(self, time: float) -> None:
        """Take account of a frame captured at `time`. A jump in time starts anew."""
        if self._times and not 0 < time - self._times[-1] < 1.0:
            self._times.clear()
        self._times.append(time)
        if len(self._times) > 8:
            mean = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
            if abs(mean / self.period - 1) > 0.02:  # a camera's jitter is no change of rate
                self.period = min(max(mean, 1 / 120), 0.5)


class SteadyClock:
    """Takes the jitter out of moments that come at a steady, unknown rate, and follows real gaps at once."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=65)
        self._last = float("-inf")

    def place(self, now: float) -> float:
        """The even moment for something that happened at `now`; later than every one before."""
        self._moments.append(now)
        known = len(self._moments) - 1
        gap = (now - self._moments[0]) / known if known else 0.0
        expected = self._last + gap
        if known < 8 or not abs(now - expected) < 1.5 * gap:
            if known >= 8:
                self._moments.clear()
            even = max(now, self._last + 0.001)
        else:
            even = expected + 0.1 * (now - expected)
        self._last = even
        return even
