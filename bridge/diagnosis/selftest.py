"""`latentcast selftest`: sends the test card out of one adapter, reads it with another, and reports what changed.

The output runs in a process of its own, as in a run; so whatever is between the two, a driver or somebody's program,
is met the way a run will meet it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread

from bridge.adapters.base import SINKS, SOURCES, FrameSource, SeesAlpha, load_source, sink_names
from bridge.adapters.channel import KINDS, Channel
from bridge.adapters.testcard import TestCard
from bridge.children.blocking_child import BlockingChild
from bridge.errors import AdapterUnavailable, BridgeError
from bridge.media.picture import Picture
from bridge.rings.ring import RingWriter
from engine.clock import monotonic

SIZE = 640, 360  # pixels
MIN_SIZE = 80, 48  # pixels; below, the card's word and its bars cannot be made out
OPEN_TIMEOUT = 20.0  # seconds for the output, a process with a library from a slow disk
FIND_TIMEOUT = 15.0  # seconds for the input, which may appear only some time after the output did
FIRST_PICTURE_TIMEOUT = 10.0  # seconds until the first picture comes back
WARMUP = 0.7  # seconds after it that count for nothing: drivers fill their queues
NOT_FOUND_HINTS = {
    "ndi": "allow NDI in the firewall; where there is no network, set NDI_CONFIG_DIR as docs/ndi.md says"
}
READ_WHEN_CLOSED = "recorder"  # what can be read only when it is whole


@dataclass(frozen=True, slots=True)
class Loop:
    """What to test. source, sink: URIs; the picture goes out of `sink` and comes back by `source`."""

    source: str
    sink: str
    width: int = SIZE[0]
    height: int = SIZE[1]
    fps: float = 30.0
    seconds: float = 4.0


@dataclass(slots=True)
class Seen:
    """What came back: pictures with the moments they came, what went out by number, and the alpha they had."""

    pictures: list[tuple[Picture, float]] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)  # number -> moment
    alpha: tuple[int, int] | None = None
    live: bool = True  # whether moments mean anything; those of a file do not
    source: str = ""  # the input they came by


def choose(first: str, second: str) -> tuple[str, str]:
    """Source and sink out of what somebody typed: both, one that stands for both ends, or nothing for a ring.

    An empty source means: whatever reads what the sink shows. Raises BridgeError.
    """
    if not first:
        first = f"ring:lc-{os.getpid()}-card"
    scheme = first.partition(":")[0]
    if second:
        return first, second
    if scheme == "obs" and first != scheme:
        raise BridgeError("OBS has one port for each direction", "name both: latentcast selftest obs:9514 obs:9513")
    if scheme in SINKS:
        return (first if scheme in SOURCES and scheme not in KINDS else ""), first
    raise BridgeError(
        f"nothing can be sent to {first}",
        f"name an output too: latentcast selftest {first} OUT; known: {', '.join(sink_names())}",
    )


def play(loop: Loop) -> Seen:
    """Send the card around and collect what comes back. Raises BridgeError if either end does not open."""
    if loop.width < MIN_SIZE[0] or loop.height < MIN_SIZE[1]:
        raise BridgeError(f"the test card cannot be read at {loop.width}x{loop.height}", "use --size 80x48 or larger")
    ring = f"lc-{os.getpid()}-selftest"
    seen = Seen()
    with ExitStack() as stack:
        writer = stack.enter_context(RingWriter.create(ring, loop.width, loop.height))
        arguments = ("--ring", ring, "--fps", f"{loop.fps:g}", "--", loop.sink)
        child = stack.enter_context(BlockingChild("bridge.adapters.sink_main", *arguments))
        device = child.opened(OPEN_TIMEOUT)
        stack.enter_context(_player(writer, loop, seen))
        if loop.sink.startswith(READ_WHEN_CLOSED):
            time.sleep(loop.seconds)
            child.end()
            seen.live = False
        seen.source = loop.source or partner(loop.sink, device)
        try:
            _collect(loop, seen)
        except AdapterUnavailable as error:
            raise error if loop.source else _unseen(loop, error) from error
    return seen


def partner(sink: str, device: str) -> str:
    """The input that shows what an output sends. Raises BridgeError where that cannot be known."""
    scheme, _, where = sink.partition(":")
    if scheme in KINDS:  # without its name, an input would take the first sender there is, which may be anybody's
        return f"{scheme}:{replace(Channel.read(where), name=device)}"
    if scheme in SOURCES:
        return sink if where else f"{scheme}:{device}"
    if scheme == "virtualcam" and device.startswith("/dev/video"):
        return f"camera:{device.removeprefix('/dev/video')}"
    if scheme == READ_WHEN_CLOSED:
        return str(Path(where).with_name(device))
    raise BridgeError(f"which input shows {sink} is not known", "name it first: latentcast selftest IN OUT")


def _unseen(loop: Loop, error: AdapterUnavailable) -> BridgeError:
    """What to say when it is our own sender that does not appear."""
    scheme = loop.sink.partition(":")[0]
    return BridgeError(
        f"{loop.sink} sends, and is not found on this machine: {error}", NOT_FOUND_HINTS.get(scheme, error.hint)
    )


@contextmanager
def _player(ring: RingWriter, loop: Loop, seen: Seen) -> Iterator[None]:
    """Write the card into the ring at its rate, on a thread, and keep the moments."""
    over = Event()

    def run() -> None:
        card = TestCard()
        card.open(loop.width, loop.height, loop.fps)
        while not over.is_set():
            frame = card.read(0.0)
            assert frame is not None
            time.sleep(max(0.0, frame.time - monotonic()))
            seen.sent[frame.index] = monotonic()
            ring.write(frame)

    thread = Thread(target=run, name="card")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _collect(loop: Loop, seen: Seen) -> None:
    source = _open(seen.source, loop)
    try:
        first = _read_until(source, seen, monotonic() + FIRST_PICTURE_TIMEOUT, stop_at=1)
        if first and seen.live:
            _read_until(source, seen, monotonic() + WARMUP)
            seen.pictures.clear()
        if first:
            most = sys.maxsize if seen.live else len(seen.sent)
            _read_until(source, seen, monotonic() + loop.seconds, stop_at=most)
        seen.alpha = source.alpha() if isinstance(source, SeesAlpha) else None
    finally:
        source.close()


def _open(uri: str, loop: Loop) -> FrameSource:
    """Open the input as soon as it is there. Raises BridgeError."""
    deadline = monotonic() + FIND_TIMEOUT
    while True:
        source = load_source(uri)
        try:
            source.open(loop.width, loop.height, loop.fps)
            return source
        except AdapterUnavailable:
            source.close()
            if monotonic() >= deadline or uri.partition(":")[0] not in SOURCES:
                raise
            time.sleep(0.2)


def _read_until(source: FrameSource, seen: Seen, deadline: float, stop_at: int = sys.maxsize) -> bool:
    """Collect pictures up to a moment or a number of them; whether there is one."""
    while monotonic() < deadline and len(seen.pictures) < stop_at:
        if (frame := source.read(0.1)) is not None:
            seen.pictures.append((frame.pixels, monotonic()))
    return bool(seen.pictures)
