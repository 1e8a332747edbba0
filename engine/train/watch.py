"""What a person watching sees of a run: a bar in a terminal, lines in a log; curves and sample sheets meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn

from engine.clock import monotonic

SAMPLE_SECONDS = 900.0  # a sheet takes some twenty seconds to play


class Watch:
    """A `Watcher` of one stage. curves, samples: draw what there is; samples less often, since they take longer.

    Time left is reckoned from the whole stage so far, interruptions left out: steps that are noted a minute apart would
    tell a bar's own clock nothing.
    """

    def __init__(self, name: str, curves: Callable[[], None], samples: Callable[[], None]) -> None:
        self._name, self._curves, self._samples = name, curves, samples
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[news]}"))
        self._task = self._bar.add_task(name, total=1.0, news="")
        self._news, self._sampled = "", monotonic()

    def __enter__(self) -> Watch:
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar.console.is_terminal:
            self._bar.stop()

    def step(self, step: int, share: float, seconds: float, means: dict[str, float]) -> None:
        if means:
            self._news = "  ".join(f"{name} {value:.3g}" for name, value in means.items())
        line = (
            f"step {step}, {share:4.0%}, {_clock(seconds)} gone, {_clock(seconds / share - seconds)} left  {self._news}"
        )
        if self._bar.console.is_terminal:
            self._bar.update(self._task, completed=share, news=line)
        elif means:
            sys.stdout.write(f"{self._name}: {line}\n")
            sys.stdout.flush()

    def saved(self) -> None:
        self._curves()
        if monotonic() - self._sampled > SAMPLE_SECONDS:
            self._samples()
            self._sampled = monotonic()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
