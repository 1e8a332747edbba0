"""Keeps a child process running: starts it, listens to it, and starts it again when it ends or hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from bridge.children.restarts import LONGEST_WAIT, Restarts
from bridge.process.interpreter import python
from bridge.process.protocol import END_TIMEOUT, FINISH_TIMEOUT, GAVE_UP
from bridge.process.silence import CHECK_EVERY, Silence

LINE_LIMIT = 2**20  # bytes
DESCRIPTORS = 12  # that starting a process takes; asyncio loses sight of one that got only some of them
log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who wants to know about a child. Called on the event loop; what it raises is logged, and changes nothing."""

    @property
    def deadline(self) -> float | None:
        """Current deadline: after this many seconds without a line the child counts as hung; None for never."""

    @property
    def finishes(self) -> bool:
        """Whether the child has a file to finish before it ends, for which it has FINISH_TIMEOUT after every line."""

    @property
    def worked(self) -> bool:
        """Whether the process that is there, or was last, got as far as doing what it is for."""

    def started(self) -> None:
        """A new process is there, and takes lines."""

    def heard(self, line: str) -> None:
        """The child said something."""

    def ended(self, reason: str, final: bool) -> None:
        """The process is gone, for no `reason` if that was asked for. final: it is not started again.

        So it is if it gave up, having said why; or if it failed in the same way at every start, which `reason` says.
        """


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in a process of its own."""
    return python("-m", module, *arguments)


class End(NamedTuple):
    """How a process ended: exit code, a sentence, and what it said last if it failed by an error of its own."""

    code: int
    reason: str
    words: str = ""


class Child:
    """One process, and the ones after it. Each ends when its stdin closes, so none is left if we are killed.

    always_fails: it failed in the same way at every start, and is not started again.
    """

    def __init__(self, name: str, command: Sequence[str], listener: Listener) -> None:
        self.name = name
        self.command = tuple(command)
        self.restarts = 0
        self.always_fails = False
        self.pid: int | None = None
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._skip_wait = asyncio.Event()  # end the wait now: a restart or a stop was requested
        self._stopping = False
        self._silence = Silence()
        self._policy = Restarts()
        self._unfinished = ""  # how it ended, if not by itself after it was asked to
        self._log = logging.getLogger(name)
        self._last_words = ""  # on stderr
        self._fault = ""  # of the listener

    def start(self) -> None:
        """Begin to keep it running, unless a restart that was asked for earlier has. Needs the event loop."""
        if self._keeper is not None and not self._keeper.done():
            return
        self._stopping = self.always_fails = False
        self._policy = Restarts()
        self._skip_wait.clear()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        self._keeper.add_done_callback(self._kept)

    def restart(self, command: Sequence[str] | None = None) -> None:
        """End the process, if there is one, and start it at once, even after it gave up; from now on as `command`."""
        self.command = tuple(command or self.command)
        self._policy = Restarts()
        if self._keeper is None or self._keeper.done():
            self.restarts += self._keeper is not None
            self.start()
        else:
            self._skip_wait.set()
            self.kill()

    async def stop(self) -> str:
        """Ask it to end, and insist if it does not; how it ended if it was not by itself. Twice is fine."""
        self._stopping = True
        self._skip_wait.set()
        if self._keeper is None:
            return ""
        self._silence.end()
        self._close_stdin()
        await asyncio.wait({self._keeper})  # not the task itself: who waits for it may be cancelled, it may not
        return self._unfinished

    def send(self, line: str) -> bool:
        """Pass a line to the child; False if it is not there or still has earlier ones to read."""
        pipe = self._process.stdin if self._process else None
        if pipe is None or pipe.is_closing() or pipe.transport.get_write_buffer_size():
            return False
        pipe.write(line.encode())
        return True

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        """After an unexpected error in the keeper: log it, and keep the child running all the same."""
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None:
            self._log.error("keeping it failed, and begins again", exc_info=error)
            self.pid = self._process = None
            keeper.get_loop().call_later(LONGEST_WAIT, self._begin_again, keeper)

    def _begin_again(self, keeper: asyncio.Task[None]) -> None:
        if self._keeper is keeper and not self._stopping:  # else somebody was faster
            self.restart()

    async def _keep(self) -> None:
        self._unfinished = ""
        while not self._stopping:
            end = await self._run_once()
            self.pid = self._process = None
            if self._stopping:
                self._unfinished = end.reason if end.code else ""
                return
            wait = self._wait_after(end)
            if wait is None:
                return
            await self._pause(wait)
            self.restarts += not self._stopping

    def _wait_after(self, end: End) -> float | None:
        """Tell how a process ended; seconds until the next start, None if there is none."""
        if self._skip_wait.is_set():
            self._tell(self._listener.ended, "", False)
            return 0.0
        wait = None if end.code == GAVE_UP else self._policy.wait_after(self._listener.worked, end.words)
        self.always_fails = wait is None and end.code != GAVE_UP
        reason = (
            f"{self.name} fails in the same way at every start: {end.words:.200}" if self.always_fails else end.reason
        )
        self._tell(self._listener.ended, reason, wait is None)
        return wait

    def _tell(self, listener: Callable[..., None], *news: object) -> None:
        try:
            listener(*news)
        except Exception as error:  # a wall: the child is well, and goes on, whatever becomes of who hears of it
            if repr(error) != self._fault:  # said once: it may come with every line
                self._fault = repr(error)
                log.exception("%s: news of it were not understood", self.name)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._skip_wait.wait(), seconds)
        self._skip_wait.clear()

    async def _run_once(self) -> End:
        """Run the process once, from start to end. It is always ended, whatever is raised meanwhile."""
        try:
            process = self._process = await self._begin()
        except OSError as error:
            return End(1, f"{self.name} cannot be started: {error.strerror}")
        except ValueError:  # a NUL, or half a surrogate pair, in what someone typed
            return End(GAVE_UP, f"{self.name} cannot be started with what no program can be told")
        self.pid = process.pid
        assert process.stdout is not None
        assert process.stderr is not None
        logs = asyncio.create_task(self._pass_on(process.stderr))
        hung = ""
        try:
            if self._stopping:
                self._close_stdin()
            elif self._skip_wait.is_set():  # a restart was asked for while this one was on its way
                self.kill()
            self._tell(self._listener.started)
            hung = await self._listen(process.stdout)
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.0 if hung else END_TIMEOUT)
            self.kill()
            code = await process.wait()
            await logs
        words = self._last_words if code == 1 and not hung else ""  # as Python ends after an error
        return End(code, f"{self.name} {hung or _how_it_ended(code, self._last_words)}", words)

    async def _begin(self) -> asyncio.subprocess.Process:
        """Start the process. Raises OSError, ValueError; there is none then."""
        _spare_descriptors()
        return await asyncio.create_subprocess_exec(
            *self.command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE_LIMIT, **_own_group()
        )

    async def _listen(self, stdout: asyncio.StreamReader) -> str:
        """Read the child's lines until the end; how it hung, if it did."""
        self._silence.end()
        reading = asyncio.ensure_future(_next_line(stdout))
        try:
            while True:
                await asyncio.wait({reading}, timeout=CHECK_EVERY)
                if reading.done():
                    if not (line := reading.result()):
                        return ""
                    self._hear(line)
                    reading = asyncio.ensure_future(_next_line(stdout))
                if overdue := self._overdue():
                    return overdue
        finally:
            reading.cancel()

    def _hear(self, line: str) -> None:
        if self._listener.finishes or not self._stopping:
            self._silence.end()
        self._tell(self._listener.heard, line)

    def _overdue(self) -> str:
        """How the child is late, if it is."""
        silent = self._silence.look()
        if self._stopping:
            limit = FINISH_TIMEOUT if self._listener.finishes else END_TIMEOUT
            return f"did not end within {limit:g} s" if silent >= limit else ""
        deadline = self._listener.deadline
        late = deadline is not None and silent >= deadline
        return f"gave no sign of life for {deadline:g} s" if late else ""

    async def _pass_on(self, logs: asyncio.StreamReader) -> None:
        self._last_words = ""
        while line := await _next_line(logs):
            self._last_words = line.strip() or self._last_words
            self._log.info("%s", line.rstrip())

    def _close_stdin(self) -> None:
        """Close the child's stdin: it is to finish what it does and end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End the process at once, and whatever it has started, which has its pipes too and would keep us waiting."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS forbids it where nothing but zombies is left
                _end(self._process)


async def _next_line(stream: asyncio.StreamReader) -> str:
    """The next line with its end; empty at the end of the stream. What is longer than LINE_LIMIT is passed over."""
    while True:
        with suppress(ValueError):
            return (await stream.readline()).decode(errors="replace")


def _spare_descriptors() -> None:
    """Raise OSError if the process's table of descriptors has no room for what starting a child takes."""
    held: list[int] = []
    try:
        for _ in range(DESCRIPTORS):
            held.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in held:
            os.close(descriptor)


def _own_group() -> dict[str, Any]:
    """Ctrl-C in a terminal goes to everything in the foreground; the bridge alone decides when its children end."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _end(process: asyncio.subprocess.Process) -> None:
    if sys.platform != "win32":
        os.killpg(process.pid, signal.SIGKILL)  # see _own_group
    elif process.returncode is None:
        process.kill()


def _how_it_ended(code: int, last_words: str) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with code {code}: {last_words:.200}" if code and last_words else f"ended with code {code}"
