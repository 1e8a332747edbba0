"""The bridge's children as tests run them: real processes, ended whatever happens."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import count

TIMEOUT = 60.0  # seconds; the machine may be busy, and what hangs does so for ever
_NUMBERS = count()


def ring_name():
    """A name that no other test and no other run of the tests has."""
    return f"lc-ta-{os.getpid()}-{next(_NUMBERS)}"


class Talker:
    """A child one can listen to."""

    def __init__(self, process):
        self.process = process

    def hear(self):
        """Its next line that is not only a beat, or {} at its end."""
        while "beat" in (line := json.loads(self.process.stdout.readline() or "{}")):
            pass
        return line

    def end(self):
        """Tell it in the usual way that it is over; the exit code."""
        self.process.stdin.close()
        return self.process.wait(TIMEOUT)


@contextmanager
def child(module, *arguments, **options):
    """`python -m module arguments`, with pipes."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, **options) as process:
        try:
            yield Talker(process)
        finally:
            process.kill()
