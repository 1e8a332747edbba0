"""The engine's ends of its two pipes: wishes come in on stdin, reports go out on stdout."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Self, TextIO

from bridge.protocol import BadLine, Beat, Failure, Message, Reset, SetParams, Stop, decode, encode
from engine.clock import monotonic
from engine.errors import EngineError
from engine.params import Params

BEAT_EVERY = 0.5  # seconds
LAST_GRACE = 2.0  # seconds from the end of stdin to the end of a process whose loop hangs


class Pipe:
    """Listens on a thread of its own, so that the newest controls are there whenever the loop looks.

    It beats only when the loop calls `beat`: a hung loop must be seen from outside.
    """

    def __init__(self, lines: Iterable[str], voice: TextIO) -> None:
        self.stopping = False
        self._lines, self._voice = lines, voice
        self._lock = threading.Lock()  # two threads speak, and one hears what the other takes
        self._params = Params()
        self._moved = self._reset = False
        self._beats, self._next_beat = 0, 0.0

    @classmethod
    def on_stdio(cls) -> Self:
        """Speak on the real stdout, and give everyone else stderr in its place: a library's `print` is no message."""
        voice = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        return cls(sys.stdin, voice)

    def listen(self, params: Params) -> None:
        """Begin to listen; controls that no one names stay as they are in `params`."""
        self._params, self._moved = params, True
        threading.Thread(target=self._listen, name="stdin", daemon=True).start()

    def latest(self) -> Params | None:
        """The newest snapshot if any control moved since the last call, else None."""
        with self._lock:
            moved, self._moved = self._moved, False
            return self._params if moved else None

    def take_reset(self) -> bool:
        """Whether a reset was asked for since the last call."""
        with self._lock:
            asked, self._reset = self._reset, False
            return asked

    def beat(self) -> None:
        """Say that the loop came round, if it is time to."""
        if (now := monotonic()) >= self._next_beat:
            self._next_beat = now + BEAT_EVERY
            self._beats += 1
            self.say(Beat(self._beats))

    def say(self, message: Message) -> None:
        """Send one message. With nobody there to hear it, it is time to stop."""
        try:
            with self._lock:
                self._voice.write(encode(message))
                self._voice.flush()
        except (OSError, ValueError):
            self.stopping = True

    def _listen(self) -> None:
        for line in self._lines:
            if line.strip():
                self._obey(line)
        self.stopping = True
        time.sleep(LAST_GRACE)
        os._exit(1)  # a daemon thread outlives the loop only if the loop hangs

    def _obey(self, line: str) -> None:
        try:
            match decode(line):
                case SetParams(values):
                    self._change(dict(values))
                case Reset():
                    with self._lock:
                        self._reset = True
                case Stop():
                    self.stopping = True
                case other:
                    raise BadLine(f"{type(other).__name__} is for the engine to say", "")
        except EngineError as error:
            self.say(Failure(str(error), error.hint))

    def _change(self, values: dict[str, object]) -> None:
        revision = values.pop("revision", None)
        params = self._params.set_all(values)
        with self._lock:
            self._params = replace(params, revision=revision) if isinstance(revision, int) else params
            self._moved = True
