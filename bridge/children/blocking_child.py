"""An adapter's process for a program without an event loop: it is started, listened to, and always ended."""

from __future__ import annotations

import queue
import subprocess
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from bridge.errors import AdapterFailed, BridgeError
from bridge.process.interpreter import python
from bridge.process.protocol import END_TIMEOUT, FINISH_TIMEOUT, Failure, Stage, decode


class BlockingChild:
    """`python -m MODULE ARGUMENTS`, between entering and leaving a `with`."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = python("-m", module, *arguments)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._part = ""  # the file that is there as long as what it writes is not finished

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._hear, name="child", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(AdapterFailed):  # whoever wants to know calls `end`
            self.end()
        self._process.__exit__(None, None, None)

    def opened(self, within: float) -> str:
        """Wait until it has opened its device; what that calls itself. Raises AdapterFailed, in the child's words."""
        try:
            while line := self._lines.get(timeout=within):
                match _decoded(line):
                    case Stage("streaming", device, part=part):
                        self._part = part
                        return device
                    case Failure(error, hint):
                        raise AdapterFailed(error, hint)
        except queue.Empty:
            raise AdapterFailed(f"it did not open within {within:g} s", "is another program using it?") from None
        raise AdapterFailed(
            "it ended without an error message", "run it again with the same arguments, or look at doctor"
        )

    def end(self) -> None:
        """Ask it to end, and kill it if it does not; a file is finished while that makes progress. Twice is fine.

        Raises AdapterFailed for a file that is not.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._hear_out()
            self._process.wait(END_TIMEOUT)
        except (queue.Empty, subprocess.TimeoutExpired):
            self.kill()
            if self._part:
                late = f"the file was not finished: no progress for {FINISH_TIMEOUT:g} s"
                raise AdapterFailed(late, f"what was recorded until then is in {self._part}") from None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait()

    def _hear_out(self) -> None:
        """Wait for its last line. Raises queue.Empty if it is silent for too long."""
        if self._part:
            while self._lines.get(timeout=FINISH_TIMEOUT):
                pass
            self._part = ""

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def _decoded(line: str) -> object:
    try:
        return decode(line)
    except BridgeError:  # something that a library printed
        return None
