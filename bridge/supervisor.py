"""Keeps a child process running: starts it, listens to it, and starts it again when it ends or hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from bridge.interpreter import python
from bridge.protocol import GAVE_UP
from engine.clock import monotonic

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between a child's end and its next start, doubling
LONG_LIFE = 10.0  # seconds after which a child has proved itself, and the next wait is the first again
GRACE = 1.0  # seconds to end in after stdin was closed
LINE_LIMIT = 2**20  # bytes


class Listener(Protocol):
    """Who wants to know about a child. Called on the event loop."""

    @property
    def deadline(self) -> float | None:
        """Seconds without a line after which the child is taken to hang, as things stand; None for never."""

    def started(self) -> None:
        """A new process is there, and takes lines."""

    def heard(self, line: str) -> None:
        """The child said something."""

    def ended(self, reason: str, final: bool) -> None:
        """The process is gone, for no `reason` if that was asked for. final: it gave up and is not started again."""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in a process of its own."""
    return python("-m", module, *arguments)


class Child:
    """One process, and the ones after it. Each ends by itself when its stdin does, so none is left if we are killed."""

    def __init__(self, name: str, command: Sequence[str], listener: Listener) -> None:
        self.name = name
        self.command = tuple(command)
        self.restarts = 0
        self.pid: int | None = None
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()  # do not wait any longer: a restart or a stop was asked for
        self._stopping = False
        self._log = logging.getLogger(name)
        self._last_words = ""  # on stderr

    def start(self) -> None:
        """Begin to keep it running, unless a restart that was asked for earlier has. Needs the event loop."""
        if self._keeper is not None and not self._keeper.done():
            return
        self._stopping = False
        self._hurry.clear()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        self._keeper.add_done_callback(self._kept)

    def restart(self, command: Sequence[str] | None = None) -> None:
        """End the process, if there is one, and start it at once, even after it gave up; from now on as `command`."""
        self.command = tuple(command or self.command)
        if self._keeper is None or self._keeper.done():
            self.restarts += self._keeper is not None
            self.start()
        else:
            self._hurry.set()
            self._kill()

    async def stop(self) -> None:
        """Ask it to end, insist after GRACE. Twice is fine."""
        self._stopping = True
        self._hurry.set()
        if self._keeper is None:
            return
        self._hint()
        await asyncio.wait({self._keeper}, timeout=GRACE)
        self._kill()
        await asyncio.wait({self._keeper})  # not the task itself: who waits for it may be cancelled, it may not

    def send(self, line: str) -> bool:
        """Pass a line to the child; False if it is not there or still has earlier ones to read."""
        pipe = self._process.stdin if self._process else None
        if pipe is None or pipe.is_closing() or pipe.transport.get_write_buffer_size():
            return False
        pipe.write(line.encode())
        return True

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        """A listener that failed is a fault of ours: it is said, and the child is kept all the same."""
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None:
            self._log.error("keeping it failed, and begins again", exc_info=error)
            self.pid = self._process = None
            keeper.get_loop().call_later(LONGEST_WAIT, self._begin_again, keeper)

    def _begin_again(self, keeper: asyncio.Task[None]) -> None:
        if self._keeper is keeper and not self._stopping:  # else somebody was faster
            self.restart()

    async def _keep(self) -> None:
        wait = FIRST_WAIT
        while not self._stopping:
            began = monotonic()
            code, reason = await self._live()
            self.pid = self._process = None
            asked = self._hurry.is_set()
            if self._stopping:
                return
            self._listener.ended("" if asked else reason, code == GAVE_UP and not asked)
            if code == GAVE_UP and not asked:
                return
            wait = FIRST_WAIT if asked or monotonic() - began > LONG_LIFE else wait
            await self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            self.restarts += not self._stopping

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)
        self._hurry.clear()

    async def _live(self) -> tuple[int, str]:
        """One life of the process, from start to end: its exit code, and why it ended."""
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE_LIMIT, **_apart()
            )
        except OSError as error:
            return 1, f"{self.name} cannot be started: {error.strerror}"
        except ValueError:  # a NUL, or half a surrogate pair, in what someone typed
            return GAVE_UP, f"{self.name} cannot be started with what no program can be told"
        self.pid = process.pid
        assert process.stdout is not None
        assert process.stderr is not None
        if self._stopping:
            self._hint()
        elif self._hurry.is_set():  # a restart was asked for while this one was on its way
            self._kill()
        logs = asyncio.create_task(self._pass_on(process.stderr))
        self._listener.started()
        hung = ""
        try:
            hung = await self._listen(process.stdout)
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.0 if hung else GRACE)
            self._kill()
            code = await process.wait()
            await logs
        return code, f"{self.name} {hung or _how_it_ended(code, self._last_words)}"

    async def _listen(self, voice: asyncio.StreamReader) -> str:
        """Hear the child out; how it hung if it did."""
        while True:
            deadline = self._listener.deadline
            try:
                line = await asyncio.wait_for(_next_line(voice), deadline)
            except TimeoutError:
                return f"gave no sign of life for {deadline:g} s"
            if not line:
                return ""
            self._listener.heard(line)

    async def _pass_on(self, logs: asyncio.StreamReader) -> None:
        self._last_words = ""
        while line := await _next_line(logs):
            self._last_words = line.strip() or self._last_words
            self._log.info("%s", line.rstrip())

    def _hint(self) -> None:
        """Close the child's stdin: it is to finish what it does and end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _kill(self) -> None:
        """End the process and whatever it has started, which has its pipes too and would keep us waiting."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS forbids it where nothing but zombies is left
                _end(self._process)


async def _next_line(stream: asyncio.StreamReader) -> str:
    """The next line with its end; empty at the end of the stream. What is longer than LINE_LIMIT is passed over."""
    while True:
        with suppress(ValueError):
            return (await stream.readline()).decode(errors="replace")


def _apart() -> dict[str, Any]:
    """Ctrl-C in a terminal goes to everything in the foreground; the bridge alone decides when its children end."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _end(process: asyncio.subprocess.Process) -> None:
    if sys.platform != "win32":
        os.killpg(process.pid, signal.SIGKILL)  # see _apart
    elif process.returncode is None:
        process.kill()


def _how_it_ended(code: int, last_words: str) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with code {code}: {last_words:.200}" if code and last_words else f"ended with code {code}"
