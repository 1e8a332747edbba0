"""The engine process as the bridge sees it: what it was asked last, and what it said last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from bridge.children.supervisor import Child
from bridge.control.control import EngineStatus
from bridge.errors import BridgeError
from bridge.process.protocol import OPEN_TIMEOUT, Beat, Failure, Report, Reset, SetParams, Stage, decode, encode
from engine.params import Params

RETRY_DELAY = 0.05  # seconds until the next try to get a line to an engine that still has earlier ones to read

GIVEN_UP_HINT = "choose another preset, or mend it and start the engine again"

log = logging.getLogger("engine")


class EngineLink:
    """Passes controls down, newest first and whole at every start; passes reports and failures up.

    on_report:  called with each chunk's report.
    on_failure: called with one sentence for people; `failed` is set if the engine will not be started again.
    on_stage:   called when `stage` changed.
    on_progress: called with how far the engine is within a stage that takes long.
    """

    finishes = False  # an engine has nothing to lose

    def __init__(
        self,
        command: Sequence[str],
        params: Params,
        on_report: Callable[[Report], None],
        on_failure: Callable[[str], None],
        on_stage: Callable[[], None],
        on_progress: Callable[[str], None] = lambda progress: None,
    ) -> None:
        self.stage = "offline"
        self.failed = self.worked = False
        self.deadline, self._beats = OPEN_TIMEOUT, 0
        self._last_stage = Stage("offline")
        self._last_failure = ""  # its last word, if that was a failure
        self._last_shown = ""  # what people were told last, if it has not worked since
        self._params = params
        self._reset_pending = False  # a reset was asked for and not passed on yet
        self._retry: asyncio.TimerHandle | None = None
        self._on_report, self._on_failure, self._on_stage = on_report, on_failure, on_stage
        self._on_progress = on_progress
        self._child = Child("engine", command, self)

    @property
    def status(self) -> EngineStatus:
        """The engine as surfaces show it."""
        last = self._last_stage
        return EngineStatus(self._child.pid, self._child.restarts, self.stage, last.device, last.preset)

    def start(self) -> None:
        """Begin to keep an engine running. Needs the event loop."""
        self._child.start()
        self._enter("starting")

    def restart(self, command: Sequence[str] | None = None) -> None:
        """End this engine and start another at once, with `command` if given."""
        self.failed, self._last_shown = False, ""
        self._child.restart(command)

    async def stop(self) -> None:
        """End the engine."""
        if self._retry is not None:
            self._retry.cancel()
        await self._child.stop()
        self._enter("offline")

    def update(self, params: Params) -> None:
        """Let the engine have these controls as soon as it takes them; while it does not, newer ones replace them."""
        self._params = params
        if self._retry is None:
            self._flush()

    def reset(self) -> None:
        """Let the engine forget the stream so far, as soon as it takes a line."""
        self._reset_pending = True
        if self._retry is None:
            self._flush()

    # ---- what the supervisor tells us

    def started(self) -> None:
        self._last_failure, self._reset_pending = "", False  # it has nothing to forget yet
        self.worked, self._beats, self.deadline = False, 0, OPEN_TIMEOUT
        self._enter("starting")
        self.update(self._params)

    def heard(self, line: str) -> None:
        try:
            message = decode(line)
        except BridgeError as error:
            log.warning("%s", error)
            return
        self._last_failure = str(message) if isinstance(message, Failure) else ""
        match message:
            case Stage(stage):
                self._last_stage = message
                self._enter(stage)
                if message.progress.startswith("compiling"):
                    self._on_progress(message.progress)
            case Beat():
                self.deadline = message.deadline
                self._beats += self.stage == "streaming"
                self.worked = self.worked or self._beats > 1  # the first one comes before the first chunk
            case Report():
                self.worked, self._last_shown = True, ""
                self._on_report(message)
            case Failure():
                self._tell(self._last_failure)

    def ended(self, reason: str, final: bool) -> None:
        self.failed = final
        if self._child.always_fails:
            self._tell(f"{reason}; {GIVEN_UP_HINT}")
        elif reason and not self._last_failure:
            self._tell(f"{reason}; it is started again")
        self._enter("error" if final else "starting")

    def _tell(self, sentence: str) -> None:
        """Tell people, once: what keeps an engine from starting would be told at every try."""
        if sentence != self._last_shown:
            self._last_shown = sentence
            self._on_failure(sentence)

    def _enter(self, stage: str) -> None:
        if stage != self.stage:
            self.stage = stage
            self._on_stage()

    def _flush(self) -> None:
        self._retry = None
        lines = encode(Reset()) * self._reset_pending + encode(SetParams(self._params.to_dict()))
        sent = self._child.send(lines)
        self._reset_pending = self._reset_pending and not sent
        if not sent and self._child.pid is not None:  # the next engine is told when it starts
            self._retry = asyncio.get_running_loop().call_later(RETRY_DELAY, self._flush)
