"""Where the command `latentcast` begins. A Ctrl-C while modules are still being loaded just ends the program."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended


def main() -> int:
    """Load the command line and run it; the exit code."""
    with loading():
        from bridge.cli.commands import main

    return main()


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
