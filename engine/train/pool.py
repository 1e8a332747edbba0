"""A steadily refreshed stock of training examples, so that the processor's time goes to training."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

import numpy as np

Example = TypeVar("Example")
Make = Callable[[np.random.Generator], Example]


class Ahead(Protocol):
    """Somebody who makes examples meanwhile; see `engine.train.ahead`."""

    depth: int

    def start(self, generator: np.random.Generator) -> Future[object]:
        """Make one example elsewhere."""


class Pool(Generic[Example]):
    """Keeps `size` examples; every `every` steps the oldest gives way to a new one.

    Example i is `make(random)` with a generator seeded by (seed, i), and what the pool holds at a step depends on
    the step alone: a run that resumes draws exactly what it would have drawn, and no example is ever stored.
    ahead: makes the coming examples while this process trains; one that is late, or was lost, is made here too.
    """

    def __init__(self, make: Make[Example], size: int, every: int, seed: int, ahead: Ahead | None = None) -> None:
        self._make = make
        self._size = size
        self._every = every
        self._seed = seed
        self._ahead = ahead
        self._examples: dict[int, Example] = {}
        self._coming: dict[int, Future[Example]] = {}

    def draw(self, step: int, count: int) -> tuple[list[Example], np.random.Generator]:
        """`count` examples for this step, and a generator for whatever else the step leaves to chance."""
        random = np.random.default_rng((self._seed, 1, step))
        first = step // self._every
        wanted = range(first, first + self._size)
        for index in self._examples.keys() - wanted:
            del self._examples[index]
        missing = [index for index in wanted if index not in self._examples]
        self._look_ahead(missing, wanted.stop)
        for index in reversed(missing):  # from the far end: the others begin at the near one
            self._examples[index] = self._get(index)
        return [self._examples[first + i] for i in random.integers(self._size, size=count)], random

    def _look_ahead(self, missing: list[int], end: int) -> None:
        if self._ahead is None:
            return
        for index in (*missing, *range(end, end + self._ahead.depth)):
            if index not in self._coming:
                self._coming[index] = self._ahead.start(self._random(index))  # type: ignore[assignment]

    def _get(self, index: int) -> Example:
        coming = self._coming.pop(index, None)
        if coming is not None and coming.done() and coming.exception() is None:
            return coming.result()
        # one that is late is not cancelled: Python's pool hangs if a process of it dies while a cancelled one waits
        return self._make(self._random(index))

    def _random(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, 0, index))
