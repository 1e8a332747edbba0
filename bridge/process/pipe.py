"""A child's ends of its two pipes: requests come in on stdin, reports go out on stdout."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self, TextIO

from bridge.process.protocol import (
    DEADLINE,
    END_TIMEOUT,
    FINISH_TIMEOUT,
    BadLine,
    Beat,
    Failure,
    Message,
    Reset,
    SetParams,
    Stop,
    decode,
    encode,
)
from bridge.process.silence import CHECK_EVERY, Silence
from engine.clock import monotonic
from engine.errors import EngineError
from engine.params import Params

BEAT_EVERY = 0.5  # seconds
MIN_CPU_TIME = 0.001  # seconds of computing between two beats; what our own threads take is well below


class Pipe:
    """Listens on a thread of its own, so that the newest controls are there whenever the loop looks.

    It beats only when the loop calls `beat`: a hung loop must be seen from outside.

    finishes: there is a file to finish before this process ends, and it may take its time for that.
    """

    def __init__(self, lines: Iterable[str], voice: TextIO) -> None:
        self.stopping = self.finishes = False
        self._lines, self._voice = lines, voice
        self._lock = threading.Lock()  # two threads send; one receives what the other reads
        self._params = Params()
        self._moved = self._reset = False
        self._beats, self._next_beat, self._deadline = 0, 0.0, DEADLINE
        self._silence = Silence()

    @classmethod
    def on_stdio(cls) -> Self:
        """Use the real stdout for messages, and redirect everyone else to stderr: a library's `print` is no message."""
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

    def beat(self, deadline: float = DEADLINE) -> None:
        """Send a heartbeat if one is due: the loop runs, and the next one follows within `deadline` seconds."""
        if self.finishes or not self.stopping:
            self._silence.end()
        if (now := monotonic()) >= self._next_beat or deadline != self._deadline:
            self._next_beat, self._deadline = now + BEAT_EVERY, deadline
            self._beats += 1
            self.say(Beat(self._beats, deadline))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat from a thread during one long call, as long as this process computes: a call that hangs does not."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat_while_busy, args=(over,), name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def say(self, message: Message) -> None:
        """Send one message. If nobody reads it any more, stop."""
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
        self._silence.end()
        while self._silence.look() < (FINISH_TIMEOUT if self.finishes else END_TIMEOUT):
            time.sleep(CHECK_EVERY)
        os._exit(1)  # the loop hangs, or a file makes no progress: this daemon thread would have ended with the process

    def _beat_while_busy(self, over: threading.Event) -> None:
        before = 0.0
        while not over.wait(BEAT_EVERY):
            spent = time.process_time() - time.thread_time()
            if spent - before > MIN_CPU_TIME:
                self.beat(self._deadline)
            before = spent

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
