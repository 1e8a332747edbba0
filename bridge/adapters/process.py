"""What the processes of sources and sinks have in common: how they hear that it is over, and say what went wrong."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from bridge.errors import BridgeError
from bridge.process.pipe import Pipe
from bridge.process.protocol import GAVE_UP, Failure
from bridge.process.terminal import protect_streams
from engine.params import Params


def on_pipe(work: Callable[[Pipe], None]) -> int:
    """Do `work` between stdin and stdout until stdin ends or a signal asks to; the exit code."""
    protect_streams()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    pipe = Pipe.on_stdio()

    def stop(*_: object) -> None:
        pipe.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    pipe.listen(Params())
    try:
        work(pipe)
    except BridgeError as error:
        pipe.say(Failure(str(error), error.hint))
        return GAVE_UP
    return 0
