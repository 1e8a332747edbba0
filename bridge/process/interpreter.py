"""This Python once more, for a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path


def python(*arguments: str) -> list[str]:
    """The command that runs Python so that it finds our modules where this process found them.

    Python would look in the current folder first, and a folder there that is called `engine` is nothing unusual.
    """
    return [sys.executable, *([] if _in_checkout() else ["-P"]), *arguments]


def _in_checkout() -> bool:
    try:
        return Path(__file__).parents[2] == Path.cwd()
    except FileNotFoundError:  # the current folder was removed while we were in it
        return False
