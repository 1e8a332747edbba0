"""Ends that a system asks for: a program that is told to end tidies up as it does after a Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDINGS = (
    "SIGTERM",
    "SIGHUP",
    "SIGBREAK",
)  # those that this system has: `kill`, a closed terminal, Windows' Ctrl-Break
KILLED = 128  # what shells add to a signal's number to make an exit code


@contextmanager
def ends_tidily() -> Iterator[None]:
    """Let these signals raise SystemExit, so that every `with` on the way is left. An ignored one stays ignored."""
    numbers = [getattr(signal, name) for name in ENDINGS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] != signal.SIG_IGN]  # `nohup` ignores SIGHUP
    for number in heeded:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(KILLED + number)
