"""Examples made ahead of time, in processes of their own, at low priority: rendering does not hold up a step."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import cv2
import numpy as np
import torch

NICE = 10
DEPTH = 3  # examples begun or waiting, per worker

_make: Callable[[np.random.Generator], object]


class Workers:
    """An `Ahead`. make: picklable, and the same everywhere; whoever calls it, the example is the same.

    Workers end with the process that started them, however it ends.
    """

    def __init__(self, make: Callable[[np.random.Generator], object], count: int) -> None:
        self.depth = DEPTH * count
        spawn = multiprocessing.get_context("spawn")
        self._open = partial(ProcessPoolExecutor, count, mp_context=spawn, initializer=_enter, initargs=(make,))
        self._processes = self._open()

    def start(self, generator: np.random.Generator) -> Future[object]:
        """Begin one example. Workers that died are replaced; what they had begun is lost."""
        with _deaf():
            try:
                return self._processes.submit(_run, generator)
            except BrokenProcessPool:
                self._processes = self._open()
                return self._processes.submit(_run, generator)

    def close(self) -> None:
        """Drop what waits, and end the processes."""
        self._processes.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C waits. A process that is started meanwhile is born deaf to it: it would die loudly among its imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter(make: Callable[[np.random.Generator], object]) -> None:
    global _make
    _make = make
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains; it ends the others
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if hasattr(os, "nice"):
        os.nice(NICE)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _run(generator: np.random.Generator) -> object:
    return _make(generator)
