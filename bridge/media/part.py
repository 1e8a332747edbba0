"""A file that is being written has another name until it is whole: its own never stands for half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY  # fails on whatever has the name already, a link to nothing included


class Part:
    """A file beside `target` that was not there before, so that nothing of anybody else's is written over.

    durable: it is called NAME.part, so that whoever finds it after a crash sees what it is; FileExistsError if there is
    one. Else the name is unique, and the file is to be removed unless it is finished.
    """

    def __init__(self, target: Path, durable: bool) -> None:
        self.path = part_of(target if durable else target.with_name(f"{target.name}.{secrets.token_hex(4)}"))
        self._target = target
        create(self.path)

    def replace(self) -> None:
        """Give it the target's name, in place of what has it now. Raises OSError."""
        self.path.replace(self._target)

    def publish(self) -> Path:
        """Give it the target's name, or a numbered one if that has been taken meanwhile; the name. Raises OSError."""
        name = next(name for name in numbered(self._target) if _is_created(name))
        try:
            return self.path.replace(name)
        except OSError:
            name.unlink()  # it is ours, and empty
            raise

    def remove(self) -> None:
        """Remove it, if it is there under this name; nobody can be helped by hearing that it could not be."""
        with suppress(OSError):
            self.path.unlink()


def part_of(target: Path) -> Path:
    """Where a durable one lies."""
    return target.with_name(f"{target.name}.part")


def numbered(path: Path) -> Iterator[Path]:
    """show.mp4, show-2.mp4, show-3.mp4 ..."""
    return (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))


def create(path: Path) -> None:
    """Make an empty file. Raises FileExistsError if the name is taken, if only by a broken link, or another OSError."""
    os.close(os.open(path, NEW, 0o666))


def _is_created(path: Path) -> bool:
    try:
        create(path)
    except FileExistsError:
        return False
    return True
