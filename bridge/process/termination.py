"""Termination signals: a program that is told to end cleans up, as it does after a Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# as far as the system has them: `kill`, a closed terminal, Windows' Ctrl-Break
TERMINATION = ("SIGTERM", "SIGHUP", "SIGBREAK")
KILLED = 128  # what shells add to a signal's number to make an exit code


@contextmanager
def graceful_termination() -> Iterator[None]:
    """Let these signals raise SystemExit, so that every `with` on the way is left. An ignored one stays ignored."""
    with _handled(TERMINATION, _exit):
        yield


@contextmanager
def deferred_termination() -> Iterator[None]:
    """For imports in the middle of work: an exception in one would come out as another. Signals are answered after it.

    Only in the main thread.
    """
    asked: list[int] = []
    with _handled(("SIGINT", *TERMINATION), lambda number, _: asked.append(number)):
        yield
    for number in asked:
        signal.raise_signal(number)


@contextmanager
def _handled(names: Iterable[str], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    chosen = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` ignores SIGHUP
    before = {number: signal.signal(number, handler) for number in chosen}
    try:
        yield
    finally:
        for number in chosen:
            signal.signal(number, before[number])


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(KILLED + number)
