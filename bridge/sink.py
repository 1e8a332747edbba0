"""The process of one sink: `python -m bridge.sink URI --ring NAME`. Ends properly when its stdin does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bridge.adapters.base import FrameSink, load_sink
from bridge.adapters.process import on_pipe
from bridge.pipe import Pipe
from bridge.protocol import Stage
from bridge.ring import RingReader

PATIENCE = 0.1  # seconds between two looks at whether to stop


def run(sink: FrameSink, ring: RingReader, stopping: Callable[[], bool]) -> None:
    """Send every picture of the ring until told to stop, and then those that are there already.

    Raises AdapterUnavailable when the sink is gone.
    """
    while not stopping():
        if (frame := ring.next(PATIENCE)) is not None:
            sink.send(frame)
    for _ in range(ring.slots):
        if (frame := ring.next()) is None:
            return
        sink.send(frame)


def main(arguments: list[str] | None = None) -> int:
    """Be the sink's process; the exit code is GAVE_UP for what would only fail in the same way again."""
    parser = argparse.ArgumentParser("bridge.sink", description=__doc__)
    parser.add_argument("uri", help="as in `latentcast run --out URI`")
    parser.add_argument("--ring", required=True, help="name of the ring to read")
    parser.add_argument("--fps", type=float, default=30.0, help="pictures a second to expect")
    options = parser.parse_args(arguments)

    def work(pipe: Pipe) -> None:
        with RingReader(options.ring) as ring:
            sink = load_sink(options.uri)
            sink.open(ring.width, ring.height, options.fps)
            pipe.say(Stage("streaming", sink.name))
            try:
                run(sink, ring, lambda: pipe.stopping)
            finally:
                sink.close()

    return on_pipe(work)


if __name__ == "__main__":
    sys.exit(main())
