"""When a child that ended is started again, and when there is no use in that. Pure."""

from __future__ import annotations

import re

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between a child's end and its next start, doubling
PROVEN_WAIT = 1.0  # seconds at most, if one started in the same way has worked before
MAX_SAME_FAILURES = 3  # starts that fail with the same words, after which the next one would too
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # differs between two failures that are the same


class Restarts:
    """Decides for the processes of one command, one after the other.

    One that worked is started again at once. Of those that never did, each waits longer than the one before; and if
    all of them fail in the same way, trying again is left to people. Once one of them has worked it is always tried
    again: a driver that fell over comes back.
    """

    def __init__(self) -> None:
        self._wait = FIRST_WAIT
        self._proved = False
        self._words, self._alike = "", 0

    def wait_after(self, worked: bool, words: str) -> float | None:
        """Seconds from the end of a process until the next start; None for no next start.

        worked: it got as far as doing what it is for.
        words: the error it ended with, if it was one of its own; a signal, or a program that is not there, has none.
        """
        self._proved = self._proved or worked
        if worked:
            self._wait = FIRST_WAIT
        words = _ADDRESS.sub("", words)
        self._alike = self._alike + 1 if words and words == self._words else 1
        self._words = words
        if words and self._alike >= MAX_SAME_FAILURES and not self._proved:
            return None
        wait = self._wait
        self._wait = min(2 * wait, PROVEN_WAIT if self._proved else LONGEST_WAIT)
        return wait
