"""The process of one sink: `python -m bridge.adapters.sink_main URI --ring NAME`. Ends properly when its stdin does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bridge.adapters.base import FrameSink, HoldsPart, load_sink
from bridge.adapters.process import on_pipe
from bridge.process.pipe import Pipe
from bridge.process.protocol import FINISH_TIMEOUT, Stage
from bridge.rings.ring import RingReader

READ_TIMEOUT = 0.1  # seconds between two looks at whether to stop
DEADLINE = 10.0  # seconds; a slow disk that is flushed holds a recording up for a while


def carry(sink: FrameSink, ring: RingReader, stopping: Callable[[], bool], beat: Callable[[], None]) -> None:
    """Send every picture of the ring until told to stop. Raises AdapterUnavailable when the sink is gone."""
    while not stopping():
        beat()
        if (frame := ring.next(READ_TIMEOUT)) is not None:
            sink.send(frame)


def drain(sink: FrameSink, ring: RingReader, beat: Callable[[], None]) -> None:
    """Send the pictures that are there already. Raises AdapterUnavailable when the sink is gone."""
    for _ in range(ring.slots):
        beat()
        if (frame := ring.next()) is None:
            return
        sink.send(frame)


def main(arguments: list[str] | None = None) -> int:
    """Be the sink's process; the exit code is GAVE_UP for what would only fail in the same way again."""
    parser = argparse.ArgumentParser("bridge.adapters.sink_main", description=__doc__)
    parser.add_argument("uri", help="as in `latentcast run --out URI`")
    parser.add_argument("--ring", required=True, help="name of the ring to read")
    parser.add_argument("--fps", type=float, default=30.0, help="pictures a second to expect")
    options = parser.parse_args(arguments)
    return on_pipe(lambda pipe: serve(options, pipe))


def serve(options: argparse.Namespace, pipe: Pipe) -> None:
    """Open, send, finish, saying so. Raises BridgeError."""
    with RingReader(options.ring) as ring:
        sink = load_sink(options.uri)
        sink.open(ring.width, ring.height, options.fps)
        part = str(sink.part) if isinstance(sink, HoldsPart) else ""
        pipe.finishes = bool(part)
        pipe.say(Stage("streaming", sink.name, part=part))
        try:
            carry(sink, ring, lambda: pipe.stopping, lambda: pipe.beat(DEADLINE))
            if part:
                pipe.say(Stage("finishing", sink.name, part=part))
            drain(sink, ring, lambda: pipe.beat(FINISH_TIMEOUT))
        finally:
            pipe.beat(FINISH_TIMEOUT)
            with pipe.beating():
                sink.close()


if __name__ == "__main__":
    sys.exit(main())
