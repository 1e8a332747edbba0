"""What a run is measured by, over the last seconds: rates, latency, frames lost, where the engine's time goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from threading import Lock
from typing import Any

from bridge.process.protocol import Report
from engine.clock import monotonic
from engine.frame import Frame

WINDOW = 5.0  # seconds
CHUNKS = 16  # whose stages are looked at
PERCENTILES = (50, 95, 99)


class Meter:
    """Counts what came in and what was shown. Playout writes on its thread, the event loop reads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._began: float | None = None
        self._arrivals: deque[float] = deque()
        self._shown: deque[tuple[float, float]] = deque()  # moment, latency
        self._stages: deque[Mapping[str, float]] = deque(maxlen=CHUNKS)
        self._last: tuple[str, int] = "", 0
        self._dropped = 0

    def arrived(self) -> None:
        """A frame came in from the source."""
        with self._lock:
            now = self._clock()
            self._began = self._began or now
            self._arrivals.append(now)

    def shown(self, frame: Frame, kind: str) -> None:
        """A new picture is on the outputs. Those between it and the last one of its kind never were."""
        with self._lock:
            now = self._clock()
            self._began = self._began or now
            self._shown.append((now, now - frame.time))
            last_kind, last_index = self._last
            if kind == last_kind:
                self._dropped += max(0, frame.index - last_index - 1)
            self._last = kind, frame.index

    def report(self, report: Report) -> None:
        """The engine finished a chunk."""
        with self._lock:
            self._stages.append(report.stages_ms)

    def fields(self) -> dict[str, Any]:
        """fps_in, fps_out, latency_ms, dropped and stages_ms, as bridge.control.control.Status has them."""
        with self._lock:
            now = self._clock()
            window = min(WINDOW, max(now - (self._began or now), 1.0))
            while self._arrivals and self._arrivals[0] <= now - WINDOW:
                self._arrivals.popleft()
            while self._shown and self._shown[0][0] <= now - WINDOW:
                self._shown.popleft()
            latencies = sorted(latency for _, latency in self._shown)
            return {
                "fps_in": round(len(self._arrivals) / window, 1),
                "fps_out": round(len(self._shown) / window, 1),
                "latency_ms": {f"p{percent}": _percentile(latencies, percent) for percent in PERCENTILES},
                "dropped": self._dropped,
                "stages_ms": _medians(self._stages),
            }


def _percentile(ordered: list[float], percent: int) -> float:
    """The least of the values that `percent` of a hundred do not exceed, in ms; 0 for none."""
    if not ordered:
        return 0.0
    return round(1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 1)


def _medians(chunks: deque[Mapping[str, float]]) -> dict[str, float]:
    stages = {stage: None for chunk in chunks for stage in chunk}  # in the order the engine names them
    return {stage: round(median(chunk[stage] for chunk in chunks if stage in chunk), 2) for stage in stages}
