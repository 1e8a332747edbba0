"""An engine process that changes nothing: what is left to measure is the way there and back.

    python -m tests.bench.identity_engine CHUNK [what bridge.worker.main takes]

Its reports say, as if it were a stage, at what moment of the monotonic clock (ms) the newest controls arrived.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

from bridge.worker.main import main
from engine.clock import monotonic
from engine.params import Params


class Identity:
    """Gives back what it gets, in chunks of `chunk` frames."""

    device = "paper"

    def __init__(self, chunk):
        self._chunk, self._params, self._heard = chunk, Params(), 0.0
        self.reset()

    def reset(self):
        self.report, self._waiting = None, []

    def update(self, params):
        self._params, self._heard = params, 1000 * monotonic()

    def push(self, frame):
        self._waiting.append(frame)

    def step(self):
        if len(self._waiting) < self._chunk:
            return []
        frames, self._waiting = self._waiting, []
        self.report = SimpleNamespace(
            revision=self._params.revision,
            frame=frames[0].index,
            stages_ms={"heard": self._heard},
            backlog=0,
            problem="",
        )
        return frames


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], lambda preset, aside: Identity(int(sys.argv[1]))))
