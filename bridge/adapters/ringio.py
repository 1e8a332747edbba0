"""Rings as inputs and outputs: pictures from and to other programs on this machine."""

from __future__ import annotations

from dataclasses import replace

from bridge.adapters.base import Device
from bridge.errors import AdapterUnavailable, RingError
from bridge.media.picture import cover_pixels
from bridge.rings.ring import RingReader, RingWriter, ring_names
from engine.clock import monotonic
from engine.frame import Frame


class RingSource:
    """Reads the ring of a program that runs already, at whatever size it has."""

    fps = 0.0  # a ring does not say

    def __init__(self, where: str) -> None:
        self.name = _named(where)
        self._ring: RingReader | None = None

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        try:
            self._ring = RingReader(self.name)
        except RingError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            hint = f"start the program that writes {self.name} first" if missing else error.hint
            raise AdapterUnavailable(str(error), hint) from error

    def read(self, timeout: float) -> Frame | None:
        assert self._ring is not None, "open comes first"
        frame = self._ring.next(timeout)
        if frame is None:
            if self._ring.orphaned:
                raise AdapterUnavailable(f"the program that wrote ring {self.name} has ended", "start it again")
            return None
        caught = min(frame.time, monotonic())  # by a clock that is not ours it may lie ahead, and be waited for
        return replace(frame, pixels=cover_pixels(frame.pixels, *self._size), time=caught)

    def alpha(self) -> tuple[int, int] | None:
        return None if self._ring is None else self._ring.alpha()

    def close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None


class RingSink:
    """Owns a ring that other programs read."""

    def __init__(self, where: str) -> None:
        self.name = _named(where)
        self._ring: RingWriter | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        try:
            self._ring = RingWriter.create(self.name, width, height)
        except RingError as error:
            raise AdapterUnavailable(str(error), error.hint) from error

    def send(self, frame: Frame) -> None:
        assert self._ring is not None, "open comes first"
        self._ring.write(frame)

    def close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None


def list_devices() -> list[Device]:
    """The rings of this machine that have an owner."""
    return [Device(f"ring:{name}", what) for name in ring_names() if (what := _describe(name))]


def _named(where: str) -> str:
    if not where:
        raise AdapterUnavailable("a ring needs a name, as in ring:NAME", "`latentcast devices` lists those there are")
    return where


def _describe(name: str) -> str:
    try:
        with RingReader(name) as ring:
            left = ", left behind by a program that ended" if ring.orphaned else ""
            return f"{ring.width}x{ring.height}{left}"
    except RingError:  # gone meanwhile
        return ""
