"""A sink that remembers. The double every other part is tested against, shipped because users test too."""

from __future__ import annotations

from collections import deque

from engine.frame import Frame

MAX_FRAMES = 64  # frames


class MemorySink:
    """Keeps the most recent frames, newest last."""

    name = "memory"

    def __init__(self, where: str = "") -> None:
        self.frames: deque[Frame] = deque(maxlen=MAX_FRAMES)
        self._size: tuple[int, int] | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size = (width, height)

    def send(self, frame: Frame) -> None:
        if frame.size != self._size:
            raise ValueError(f"opened at {self._size}, sent {frame.size}")
        self.frames.append(Frame(frame.pixels.copy(), frame.time, frame.index))

    def close(self) -> None:
        self._size = None
