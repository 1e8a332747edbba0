"""A steadily refreshed stock of training examples, so that the processor's time goes to training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

Example = TypeVar("Example")


class Pool(Generic[Example]):
    """Keeps `size` examples; every `every` steps the oldest gives way to a new one.

    Example i is `make(random)` with a generator seeded by (seed, i), and what the pool holds at a step depends on
    the step alone: a run that resumes draws exactly what it would have drawn, and no example is ever stored.
    """

    def __init__(self, make: Callable[[np.random.Generator], Example], size: int, every: int, seed: int) -> None:
        self._make = make
        self._size = size
        self._every = every
        self._seed = seed
        self._examples: dict[int, Example] = {}

    def draw(self, step: int, count: int) -> tuple[list[Example], np.random.Generator]:
        """`count` examples for this step, and a generator for whatever else the step leaves to chance."""
        random = np.random.default_rng((self._seed, 1, step))
        first = step // self._every
        wanted = range(first, first + self._size)
        for index in self._examples.keys() - wanted:
            del self._examples[index]
        for index in wanted:
            if index not in self._examples:
                self._examples[index] = self._make(np.random.default_rng((self._seed, 0, index)))
        return [self._examples[first + i] for i in random.integers(self._size, size=count)], random
