"""
The token that opens a run's web port, and the file by which this user's own commands know it.

Only this user can read the file, which is named by the port. One that a killed run has left is not believed.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

import psutil

from engine.paths import cache_folder

BYTES = 16  # of randomness


def new_token() -> str:
    """A token that nobody guesses, of letters, digits, - and _."""
    return secrets.token_urlsafe(BYTES)


def write_token(port: int, token: str) -> None:
    """Let `read_token` find it, until `remove_token`. Raises OSError."""
    path = _path(port)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump({"pid": os.getpid(), "token": token}, file)
    unfinished.replace(path)


def remove_token(port: int) -> None:
    """Forget it. Fine if there is none, or if it is another run's."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(_path(port).read_text("ascii"))["pid"] == os.getpid():
            _path(port).unlink()


def read_token(port: int) -> str:
    """The token of this user's run at `port`; empty if none is known."""
    try:
        found = json.loads(_path(port).read_text("ascii"))
        return str(found["token"]) if psutil.pid_exists(found["pid"]) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _path(port: int) -> Path:
    return cache_folder() / f"token-{port}.json"
