"""Ends that a system asks for: a program that is told to end tidies up as it does after a Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
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
    with _answered(ENDINGS, _end):
        yield


@contextmanager
def ends_later() -> Iterator[None]:
    """For imports in the middle of work: an exception in one would come out as another. The end is put off till after.

    Only in the main thread.
    """
    asked: list[int] = []
    with _answered(("SIGINT", *ENDINGS), lambda number, _: asked.append(number)):
        yield
    for number in asked:
        signal.raise_signal(number)


@contextmanager
def _answered(names: Iterable[str], answer: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` ignores SIGHUP
    before = {number: signal.signal(number, answer) for number in heeded}
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(KILLED + number)
