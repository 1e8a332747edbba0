"""Checksums of weight files, so that one flipped bit is noticed: beside FILE lies FILE.sha256.

Whoever writes weights writes it too, in the layout that `sha256sum -c FILE.sha256` reads. No torch here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def checksum_path(weights: Path) -> Path:
    """Where the checksum of `weights` lies."""
    return weights.with_name(f"{weights.name}.sha256")


def digest(path: Path) -> str:
    """The sha256 of a file's content, in hex. Reads all of it: a second or two for each GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_line(digest: str, weights: Path) -> str:
    """What is written to `checksum_path(weights)`."""
    return f"{digest}  {weights.name}\n"


def write_checksum(digest: str, weights: Path) -> None:
    """Write the checksum of `weights` beside it, whole or not at all. Raises OSError."""
    target = checksum_path(weights)
    part = target.with_name(f"{target.name}.part")
    part.write_text(checksum_line(digest, weights), encoding="utf-8")
    part.replace(target)


def is_damaged(weights: Path) -> bool:
    """Whether `weights` is not what its checksum says. A file without a checksum is taken as it is. Raises OSError."""
    noted = checksum_path(weights)
    if not noted.is_file():
        return False
    return noted.read_text(encoding="utf-8", errors="replace").split()[:1] != [digest(weights)]
