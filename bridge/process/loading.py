"""Ctrl-C while modules are still being loaded. Imports nothing itself, so that it is there first."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended


@contextmanager
def loading() -> Iterator[None]:
    """For imports: an exception in the middle of one would come out as another, with a story about broken installs.

    There is nothing to tidy up yet, so the process ends then and there.
    """
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
