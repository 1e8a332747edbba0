"""A source or a sink as the bridge sees it: one adapter, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge.children.supervisor import Child
from bridge.control.control import OutputState, OutputStatus
from bridge.errors import AdapterFailed, BridgeError
from bridge.process.protocol import OPEN_TIMEOUT, Beat, Failure, Stage, decode

PROVEN_BEATS = 4  # beats after which an adapter counts as working, some two seconds

log = logging.getLogger("adapter")


class AdapterLink:
    """Keeps an adapter running.

    name, kind: what people call it, and what it is: "camera", "recorder" ...
    on_failure: called with one sentence for people.
    deadline: seconds without a line after which it counts as hung; it says so itself, since some devices open slowly.
    """

    def __init__(self, name: str, kind: str, command: Sequence[str], on_failure: Callable[[str], None]) -> None:
        self.name, self.kind = name, kind
        self.on = self.finishing = False
        self.deadline, self._beats = OPEN_TIMEOUT, 0
        self._child = Child(name, command, self)
        self._on_failure = on_failure
        self._failure: Failure | None = None
        self._settled = asyncio.Event()  # open, or given up
        self._open = self._gave_up = False
        self._file = self._part = ""  # what it records, and where that is until it is finished

    @property
    def runs(self) -> bool:
        """Whether it is on, and has not said that it cannot work: then it takes someone to start it again."""
        return self.on and not self._gave_up

    @property
    def status(self) -> OutputStatus:
        """The adapter as surfaces show it."""
        return OutputStatus(self.name, self.kind, str(self._failure or ""), self._state, self._file)

    @property
    def finishes(self) -> bool:
        """Whether it has a file to finish before it ends."""
        return bool(self._part)

    @property
    def worked(self) -> bool:
        return self._beats >= PROVEN_BEATS

    def start(self) -> None:
        """Begin to keep it running. Needs the event loop."""
        self.on, self._failure, self._gave_up = True, None, False
        self._settled.clear()
        self._child.start()

    async def opened(self, within: float) -> None:
        """Wait until it has opened its device. Raises AdapterFailed if it gave up, or took longer than `within` s."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), within)
        if not self._open:
            late = Failure(f"{self.name} did not open within {within:g} s", "is another program using it?")
            failure = self._failure or late
            raise AdapterFailed(failure.error, failure.hint)

    async def stop(self) -> None:
        """End it; a recording is finished first, however long that takes while it gets on. Twice is fine."""
        self.on, self.finishing = False, self.finishes
        try:
            reason = await self._child.stop()
        finally:
            self.finishing = False
        if reason and self._part and self._failure is None:
            self._failure = self._ended(reason)
            self._on_failure(str(self._failure))

    def kill(self) -> None:
        """Finish nothing any more; for one that is being stopped."""
        self._child.kill()

    # ---- what the supervisor tells us

    def started(self) -> None:
        self._open, self._file, self._part = False, "", ""
        self._beats, self.deadline = 0, OPEN_TIMEOUT

    def heard(self, line: str) -> None:
        try:
            message = decode(line)
        except BridgeError as error:
            log.warning("%s: %s", self.name, error)
            return
        match message:
            case Stage("streaming"):
                self._open, self._failure = True, None
                self._file, self._part = message.device if message.part else "", message.part
                self._settled.set()
            case Beat():
                self.deadline = message.deadline
                self._beats += self._open
            case Failure():
                self._failure = message
                if self._settled.is_set():  # before, whoever waits for it is told
                    self._on_failure(str(message))

    def ended(self, reason: str, final: bool) -> None:
        if reason and (self._failure is None or self._child.always_fails):
            self._failure = self._ended(reason, "" if final else "it is started again")
            if self._settled.is_set() or not final:
                self._on_failure(str(self._failure))
        self._open, self._gave_up = self._open and not final, final
        if final:
            self._settled.set()

    @property
    def _state(self) -> OutputState:
        if self.finishing:
            return "finishing"
        if self._failure is not None:
            return "failed"
        return "streaming" if self._open else "opening"

    def _ended(self, reason: str, next: str = "") -> Failure:
        """How it ended, what there is of its file, and what comes next."""
        left = f"what was recorded until then is in {self._part}" if self._part else ""
        return Failure(reason, "; ".join(filter(None, (left, next))))
