"""Paths as people type them, and why one cannot be read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def typed_path(text: str) -> Path:
    """The path that somebody typed where no shell has read it: `~` is the home folder."""
    with suppress(RuntimeError):  # nobody has that name
        return Path(text).expanduser()
    return Path(text)


def why_no_file(path: Path) -> str:
    """Why there is no file to read, as in "x.mp4 is a folder"; empty if there is one."""
    if os.path.isfile(path):  # unlike Path's own, it takes whatever somebody typed
        return ""
    if os.path.isdir(path):
        return f"{path} is a folder"
    return f"{path} is not a file" if os.path.exists(path) else f"{path} does not exist"
