"""Standard output and error that can always be written to. What a terminal, a pipe or a disk does not take is lost."""

from __future__ import annotations

import errno
import io
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast

from bridge.errors import BridgeError

BACKLOG = 256  # writes that wait for a terminal that stands still; what comes then is lost
NOBODY_READS = (errno.EPIPE, errno.EINVAL)  # `| head` has seen enough; Windows says the second
FLUSH_TIMEOUT = 0.5  # seconds at the end of the program for what still waits


class CannotWrite(BridgeError):
    """What somebody asked for did not get to where it should have been written."""


class Output:
    """A standard stream whose `write` never raises: a "?" stands for what its encoding lacks.

    lost: why something could not be written; None if all was, or if nobody read on.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lost: Exception | None = None
        self._stream = stream
        self._file: Any = getattr(stream.buffer, "raw", stream.buffer)  # a buffer would keep what could not be written
        self._line_end = os.linesep if isinstance(self._file, io.RawIOBase) else "\n"
        self._waiting: queue.Queue[bytes | threading.Event] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write all of it, or as much as can be written."""
        data = text.replace("\n", self._line_end).encode(self._stream.encoding, "replace")
        if self._waiting is None:
            self.lost = self._write(data) or self.lost
        else:
            self._put(data)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def write_in_background(self) -> None:
        """From now on nobody waits for a terminal that was stopped by Ctrl-S, or for a pipe that is not read."""
        if self._waiting is None:
            self._waiting = queue.Queue(BACKLOG)
            threading.Thread(target=self._write_waiting, args=(self._waiting,), name="terminal", daemon=True).start()

    def finish(self, within: float = FLUSH_TIMEOUT) -> None:
        """Let the background write what waits, for at most `within` seconds."""
        done = threading.Event()
        if self._waiting is not None and self._put(done):
            done.wait(within)

    def _put(self, item: bytes | threading.Event) -> bool:
        assert self._waiting is not None
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            return False
        return True

    def _write_waiting(self, waiting: queue.Queue[bytes | threading.Event]) -> None:
        while True:
            item = waiting.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._write(item)

    def _write(self, data: bytes) -> Exception | None:
        """Why not all of it could be written, if it could not."""
        try:
            while data and (written := self._file.write(data)):
                data = data[written:]
        except (OSError, ValueError) as error:  # ValueError: it was closed
            return None if getattr(error, "errno", None) in NOBODY_READS else error
        return None


def protect_streams() -> None:
    """Make the standard streams of this process such that nothing written to them ends it. Twice is fine."""
    _open_missing()
    sys.stdout, sys.stderr = (_prepared(sys.stdout, 1), _prepared(sys.stderr, 2))


def write_in_background() -> None:
    """For a program that must not stand still because its terminal does."""
    for output in _outputs():
        output.write_in_background()


def finish() -> None:
    """Let what waits be written, before the program ends."""
    for output in _outputs():
        output.finish()


def check_written() -> None:
    """Raises CannotWrite if something of standard output was lost, for a program that has no other purpose."""
    lost = getattr(sys.stdout, "lost", None)
    if lost is not None:
        why = getattr(lost, "strerror", None) or lost
        raise CannotWrite(f"the output could not be written: {why}", "make room, or let it go to another place")


def _open_missing() -> None:
    """Of a program started with `>&-` the next file that is opened would be standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free


def _prepared(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # Python was started with it closed
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(stream, Output) or not hasattr(stream, "buffer"):  # a StringIO in its place takes everything
        return stream
    return cast(TextIO, Output(stream))


def _outputs() -> Iterator[Output]:
    return (stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Output))
