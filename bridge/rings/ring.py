"""Pictures between processes: named shared memory, one writer, many readers, newest wins. docs/ring.md has every byte.

The writer never waits. Each slot carries a lock number that says which picture it holds and whether it is whole, so
a reader that was overtaken notices and tries again.
"""

from __future__ import annotations

import math
import re
import time
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bridge.errors import RingError
from bridge.rings import layout, segment
from bridge.rings.layout import ALIGN, COUNT, HEADER, KINDS, OPEN, OWNER, SHAPE
from engine.clock import monotonic
from engine.frame import Frame

OUTPUT_RING = "latentcast-out"  # the ring other programs look for
POLL_EVERY = 0.001  # between two looks at the counter while waiting; there is no portable wake-up across processes

_OF_A_RUN = re.compile(r"lc-\d+-[a-z]+")

Picture = NDArray[np.uint8]


class Ring:
    """A mapped segment as numbers and pictures. What writers and readers have in common."""

    width: int
    height: int
    slots: int
    _closed = True

    def __init__(self, name: str, memory: SharedMemory) -> None:
        self.name = name
        self._memory = memory
        self._bytes = segment.contents(memory)
        _, _, first, self.width, self.height, _, self.slots, stride, *_ = HEADER.unpack_from(self._bytes)
        self._words = self._bytes.cast("Q")
        self._times = self._bytes.cast("d")
        self._heads = [(first + slot * stride) // 8 for slot in range(self.slots)]
        self._pictures: list[Picture] = [self._map(head * 8 + ALIGN) for head in self._heads]
        self._owner, self._shape = self._words[OWNER], bytes(self._bytes[SHAPE])
        self._started = layout.started(self._bytes)
        self._closed = False

    def _map(self, offset: int) -> Picture:
        flat = np.frombuffer(self._bytes, np.uint8, self.width * self.height * 4, offset)
        return flat.reshape(self.height, self.width, 4)

    @property
    def orphaned(self) -> bool:
        """Whether the owner is gone, so that nothing new will come: close this one and attach again.

        So it is where the owner made another ring in the same memory, as it must on Windows while we have it open.
        """
        same = self._words[OPEN] and self._words[OWNER] == self._owner and self._bytes[SHAPE] == self._shape
        return not (same and segment.owner_lives(self._owner, self._started))

    @property
    def next_index(self) -> int:
        """The number after that of the newest picture; 0 before the first."""
        count = self._words[COUNT]
        return self._words[self._heads[(count - 1) % self.slots] + 1] + 1 if count else 0

    def close(self) -> None:
        """Let go of the memory. Twice is fine."""
        if not self._closed:
            self._closed = True
            self._pictures.clear()
            self._words.release()
            self._times.release()
            self._memory.close()

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RingWriter(Ring):
    """Writes pictures; never waits for a reader. Make one with `create` or `attach`."""

    _owns = False

    @classmethod
    def create(cls, name: str, width: int, height: int, slots: int = 16) -> RingWriter:
        """Make the ring and own it: `close` removes it, and so does the end of this process.

        Takes over a name whose owner is dead. Raises RingError if the owner lives, ValueError for under 3 slots.
        """
        if slots < 3:
            raise ValueError(f"{slots} slots cannot keep a reader and the writer apart; 3 can")
        ring = cls(name, layout.make(name, width, height, slots))
        ring._owns = True
        return ring

    @classmethod
    def attach(cls, name: str) -> RingWriter:
        """Write into a ring that another process owns. Raises RingError."""
        return cls(name, layout.find(name))

    def write(self, frame: Frame, kind: str = "") -> None:
        """Publish a frame, and say which of layout.KINDS it is. Raises ValueError if it has another size."""
        self._check(frame.pixels)
        picture = self._begin(frame.time, frame.index, KINDS[kind])
        for channel in range(3):  # three plain strided copies: five times as fast as one of [H, W, 3] into [H, W, 4]
            picture[..., channel] = frame.pixels[..., channel]
        picture[..., 3] = 255
        self._end()

    def write_rgba(self, pixels: Picture, time: float, index: int) -> None:
        """Publish uint8 RGBA pixels [H, W, 4]. Raises ValueError if they have another size than the ring."""
        self._check(pixels)
        np.copyto(self._begin(time, index), pixels)
        self._end()

    def close(self) -> None:
        """Let go, and remove the ring if it is ours. Twice is fine."""
        if self._owns and not self._closed:
            self._words[OPEN] = 0
            super().close()
            with suppress(FileNotFoundError):  # someone tidied /dev/shm by hand
                self._memory.unlink()
        super().close()

    def _check(self, pixels: Picture) -> None:
        height, width = pixels.shape[:2]
        if (width, height) != (self.width, self.height):
            raise ValueError(f"ring {self.name} holds {self.width}x{self.height}, not {width}x{height}")

    def _begin(self, time: float, index: int, kind: int = 0) -> Picture:
        count = self._words[COUNT]
        head = self._heads[count % self.slots]
        self._words[head] = 2 * count + 1  # odd: being written
        self._words[head + 1] = index
        self._times[head + 2] = time
        self._words[head + 3] = kind
        return self._pictures[count % self.slots]

    def _end(self) -> None:
        count = self._words[COUNT]
        self._words[self._heads[count % self.slots]] = 2 * count + 2  # even: picture `count` is whole
        self._words[COUNT] = count + 1


class RingReader(Ring):
    """Reads pictures, each at most once, beginning with the newest one there is. Raises RingError."""

    def __init__(self, name: str) -> None:
        super().__init__(name, layout.find(name))
        self._next = self._first = max(0, self._words[COUNT] - 1)
        self.missed = 0  # pictures overwritten before `next` came to them

    @property
    def orphaned(self) -> bool:
        return super().orphaned or self._words[COUNT] < self._next  # a counter that went back is another ring's

    def next(self, timeout: float = 0.0) -> Frame | None:
        """The oldest unread picture still there, waiting up to `timeout` seconds for one; None if none came."""
        behind = self.slots - 1  # one more, and it is the slot the writer is in
        while self._wait(timeout):
            self._skip_to(self._words[COUNT] - behind)
            if (frame := self._read_frame()) is not None:
                return frame
            behind = self.slots // 2  # so close to the writer's heels it would only happen again
        return None

    @property
    def newest_time(self) -> float:
        """Capture time of the newest picture there is, read or not; minus infinity before the first."""
        count = self._words[COUNT]
        return self._times[self._heads[(count - 1) % self.slots] + 2] if count else -math.inf

    def latest(self) -> Frame | None:
        """The newest picture if it was not read yet, else None. Skipping to it does not count as missing any."""
        while self._wait(0.0):
            self._next = self._words[COUNT] - 1
            if (frame := self._read_frame()) is not None:
                return frame
        return None

    def read_rgba_into(self, pixels: Picture) -> tuple[float, int] | None:
        """Copy the newest unread picture into `pixels` [H, W, 4], without allocating; its time and index, or None."""
        while self._wait(0.0):
            self._next = self._words[COUNT] - 1
            head, slot = self._locate()
            np.copyto(pixels, self._pictures[slot])
            stamp = self._times[head + 2], self._words[head + 1]
            if self._take(head):
                return stamp
        return None

    def alpha(self) -> tuple[int, int] | None:
        """The lowest and the highest alpha of the picture read last; None before the first."""
        if self._next == self._first:
            return None
        plane = self._pictures[(self._next - 1) % self.slots][..., 3]
        return int(plane.min()), int(plane.max())

    def _wait(self, timeout: float) -> bool:
        deadline = monotonic() + timeout
        while self._words[COUNT] <= self._next:
            if monotonic() >= deadline:
                return False
            time.sleep(POLL_EVERY)
        return True

    def _skip_to(self, oldest: int) -> None:
        if self._next < oldest:
            self.missed += oldest - self._next
            self._next = oldest

    def _locate(self) -> tuple[int, int]:
        slot = self._next % self.slots
        return self._heads[slot], slot

    def _read_frame(self) -> Frame | None:
        """Picture number `self._next`, or None if the writer came over it."""
        head, slot = self._locate()
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        for channel in range(3):
            pixels[..., channel] = self._pictures[slot][..., channel]
        frame = Frame(pixels, self._times[head + 2], self._words[head + 1])
        return frame if self._take(head) else None

    def _take(self, head: int) -> bool:
        """Whether the copy just made was of picture `self._next` from start to end; if so, it counts as read.

        One look after the copy is enough: the lock of a slot only grows, and was `2n + 2` when the counter said so.
        """
        whole = self._words[head] == 2 * self._next + 2
        self._next += whole
        return whole


def ring_names() -> list[str]:
    """The rings on this machine; where the system does not list shared memory, only the public one if it is there."""
    names = sorted(path.name for path in segment.FOLDER.iterdir()) if segment.FOLDER.is_dir() else [OUTPUT_RING]
    return [name for name in names if _is_ring(name)]


def sweep() -> list[str]:
    """Remove the rings that runs of this user left behind when all their processes were killed at once; their names.

    Only where the system lists shared memory, which is Linux. Anywhere else the memory ends with the processes or
    with the machine.
    """
    swept = []
    for path in segment.left_behind(_OF_A_RUN):
        owner = int(path.name.split("-")[1])
        if not segment.owner_lives(owner, _started(path.name, owner)):
            path.unlink(missing_ok=True)
            swept.append(path.name)
    return swept


def _started(name: str, owner: int) -> int:
    """When the owner was started that a ring names; 0 if there is no whole ring of that owner."""
    with suppress(RingError), Ring(name, layout.find(name)) as ring:
        return ring._started if ring._owner == owner else 0
    return 0


def _is_ring(name: str) -> bool:
    try:
        layout.find(name).close()
    except RingError:
        return False
    return True
