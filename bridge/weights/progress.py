"""What `latentcast download` shows: how much is to come, how fast it comes, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from engine.clock import monotonic

PLAIN_EVERY = 5.0  # seconds between lines where there is no terminal
USUAL_RATE = 100e6 / 8  # bytes a second, for a guess before anything has come: a line of 100 Mbit/s


class Bar:
    """A bar per file on a terminal; lines now and then where there is none."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(None), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, TimeRemainingColumn(), console=self._console)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def say(self, sentence: str) -> None:
        """One line that stays."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def announce(self, size: int, folder: Path) -> None:
        """What is to come, before it does."""
        if size:
            self.say(f"{amount(size)} to fetch into {folder}: {span(size / USUAL_RATE)} at 100 Mbit/s")

    @contextmanager
    def file(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """Show a file of `size` bytes; call what is returned with how many are here."""
        if not self._console.is_terminal:
            yield PlainFile(name, size, self.say)
            return
        task = self._progress.add_task(name, total=size)
        first = True

        def show(here: int) -> None:
            nonlocal first
            if first and here:  # what an earlier try left does not count as fast
                self._progress.reset(task, completed=here, total=size)
            first = False
            self._progress.update(task, completed=here)

        yield show


class PlainFile:
    """One file's progress in lines."""

    def __init__(self, name: str, size: int, say: Callable[[str], None]) -> None:
        self._name, self._size, self._say = name, size, say
        self._start: tuple[float, int] | None = None
        self._told = -PLAIN_EVERY

    def __call__(self, here: int) -> None:
        now = monotonic()
        if self._start is None:
            self._start = (now, here)
        if here == self._size or now - self._told >= PLAIN_EVERY:
            self._told = now
            self._say(f"{self._name}: {amount(here)} of {amount(self._size)}{self._pace(now, here)}")

    def _pace(self, now: float, here: int) -> str:
        assert self._start is not None
        rate = (here - self._start[1]) / max(now - self._start[0], 1e-3)
        if not rate:
            return ""
        left = f", {span((self._size - here) / rate)} left" if here < self._size else ""
        return f", {amount(rate)}/s{left}"


def amount(size: float) -> str:
    """Bytes as people say them."""
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {word}"
    return f"{size:.0f} bytes"


def span(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
