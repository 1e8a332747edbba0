"""A source or a sink as the bridge sees it: one adapter, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge.control import OutputStatus
from bridge.errors import AdapterFailed, BridgeError
from bridge.protocol import Failure, Stage, decode
from bridge.supervisor import Child

log = logging.getLogger("adapter")


class AdapterLink:
    """Keeps an adapter running.

    name, kind: what people call it, and what it is: "camera", "recorder" ...
    on_failure: called with one sentence for people.
    """

    deadline = None  # a camera may take its time between two frames, and a paused one for ever

    def __init__(self, name: str, kind: str, command: Sequence[str], on_failure: Callable[[str], None]) -> None:
        self.name, self.kind = name, kind
        self.on = False
        self._child = Child(name, command, self)
        self._on_failure = on_failure
        self._failure: Failure | None = None
        self._settled = asyncio.Event()  # open, or given up
        self._open = self._gave_up = False

    @property
    def runs(self) -> bool:
        """Whether it is on, and has not said that it cannot work: then it takes someone to start it again."""
        return self.on and not self._gave_up

    @property
    def status(self) -> OutputStatus:
        """The adapter as surfaces show it."""
        return OutputStatus(self.name, self.kind, str(self._failure or ""))

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
        """End it; a recording is finished first. Twice is fine."""
        self.on = False
        await self._child.stop()

    # ---- what the supervisor tells us

    def started(self) -> None:
        self._open = False

    def heard(self, line: str) -> None:
        try:
            message = decode(line)
        except BridgeError as error:
            log.warning("%s: %s", self.name, error)
            return
        match message:
            case Stage("streaming"):
                self._open, self._failure = True, None
                self._settled.set()
            case Failure():
                self._failure = message
                if self._settled.is_set():  # before, whoever waits for it is told
                    self._on_failure(str(message))

    def ended(self, reason: str, final: bool) -> None:
        if reason and self._failure is None:
            self._failure = Failure(reason)
            self._on_failure(reason)
        self._open, self._gave_up = self._open and not final, final
        if final:
            self._settled.set()
