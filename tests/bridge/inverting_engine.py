"""An engine process with a session of paper: it turns colours over. Everything around the session is the real thing.

Some prompts make it misbehave: "crash" raises, "hang" never returns, "chunks of 6 s" take as long. Of presets that
start with them, "weights" cannot be opened in the first place, "slow" takes its time.
"""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

from bridge.worker.main import main
from engine.errors import BadWeights
from engine.frame import Frame
from engine.params import Params


class Inversion:
    """Chunks of `later` frames, each 255 minus what came in."""

    device = "paper"

    def __init__(self, preset):
        self._chunk = preset.chunk.later
        self._params = Params()
        self.reset()

    def reset(self):
        self.report, self._waiting = None, []

    def update(self, params):
        self._params = params

    def push(self, frame):
        self._waiting.append(frame)

    def step(self):
        if len(self._waiting) < self._chunk:
            return []
        frames, self._waiting = self._waiting[: self._chunk], self._waiting[self._chunk :]
        if self._params.prompt == "chunks of 6 s":
            time.sleep(6.0)
        if self._params.prompt == "crash":
            raise ZeroDivisionError("the paper tore")
        if self._params.prompt == "hang":
            sys.stderr.write("it hangs\n")
            sys.stderr.flush()
            threading.Event().wait()
        self.report = SimpleNamespace(
            revision=self._params.revision,
            frame=frames[0].index,
            stages_ms={"invert": 0.1},
            backlog=0,
            problem="",
        )
        return [Frame(255 - frame.pixels, frame.time, frame.index) for frame in frames]


def open_session(preset, aside):
    if preset.params.prompt == "weights":
        raise BadWeights("dit.safetensors is cut short", "fetch it again")
    if preset.params.prompt == "slow":
        time.sleep(3.0)
    return Inversion(preset)


if __name__ == "__main__":
    sys.exit(main(open_session=open_session))
