"""The process of one source: `python -m bridge.adapters.source_main URI --ring NAME`. Ends when its stdin does."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from bridge.adapters.base import FrameSource, load_source
from bridge.adapters.process import on_pipe
from bridge.errors import AdapterUnavailable
from bridge.media.pacing import Thinner
from bridge.process.pipe import Pipe
from bridge.process.protocol import OPEN_TIMEOUT, Failure, Stage
from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.frame import Frame

READ_TIMEOUT = 0.1  # seconds between two looks at whether to stop
RETRY = 1.0  # seconds between two attempts to open again what was lost


def run(source: FrameSource, fps: float, pipe: Pipe, ring: RingWriter) -> None:
    """Fill the ring until told to stop. Raises AdapterUnavailable if the source does not open.

    One that is lost later is opened again as soon as that works: someone tripped over a cable.
    """
    numbers = count(ring.next_index)  # another source may have been here before: a stream's numbers go on
    source.open(ring.width, ring.height, fps)

    def stopping() -> bool:
        """Whether to stop. Asked at every turn, also by one that waits for a sender or a moment: that is no hang."""
        pipe.beat()
        return pipe.stopping

    while not pipe.stopping:
        pipe.say(Stage("streaming", source.name))
        try:
            pump(source, fps, stopping, lambda frame: ring.write(replace(frame, index=next(numbers))))
        except AdapterUnavailable as error:
            pipe.say(Failure(str(error), error.hint))
            _open_again(source, fps, pipe, ring)
    source.close()


def pump(source: FrameSource, fps: float, stopping: Callable[[], bool], write: Callable[[Frame], None]) -> None:
    """Pass frames on, each when it is due, at most `fps` a second if that is not 0."""
    thinner = Thinner(fps)
    while not stopping():
        frame = source.read(READ_TIMEOUT)
        if frame is not None and thinner.takes(frame.time) and _wait_until(frame.time, stopping):
            write(frame)


def main(arguments: list[str] | None = None) -> int:
    """Be the source's process; the exit code is GAVE_UP for what would only fail in the same way again."""
    parser = argparse.ArgumentParser("bridge.adapters.source_main", description=__doc__)
    parser.add_argument("uri", help="as in `latentcast run --in URI`")
    parser.add_argument("--ring", required=True, help="name of the ring to fill, which also says the size")
    parser.add_argument("--fps", type=float, default=0.0, help="frames a second, at most; the source's own if left out")
    options = parser.parse_args(arguments)

    def work(pipe: Pipe) -> None:
        with RingWriter.attach(options.ring) as ring:
            run(load_source(options.uri), options.fps, pipe, ring)

    return on_pipe(work)


def _open_again(source: FrameSource, fps: float, pipe: Pipe, ring: RingWriter) -> None:
    pipe.beat(OPEN_TIMEOUT)  # some cameras take their time
    source.close()
    while _wait_until(monotonic() + RETRY, lambda: pipe.stopping):
        pipe.beat(OPEN_TIMEOUT)
        try:
            return source.open(ring.width, ring.height, fps)
        except AdapterUnavailable:
            source.close()
    return None


def _wait_until(moment: float, stopping: Callable[[], bool]) -> bool:
    """Sleep; whether the moment was reached without being told to stop."""
    while (left := moment - monotonic()) > 0 and not stopping():
        time.sleep(min(left, READ_TIMEOUT))
    return not stopping()


if __name__ == "__main__":
    sys.exit(main())
