"""A run's files: written beside and then renamed, so that neither a kill nor a full disk leaves half of one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from engine.checksum import checksum_line, checksum_path, digest
from engine.errors import EngineError

BROKEN = (OSError, RuntimeError, SafetensorError)  # torch's writer has no word of its own for a full disk
FOREIGN = (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError)


class BadRun(EngineError):
    """A run's folder that cannot be written, or gone on with."""


class Diverged(BadRun):
    """Training whose numbers are none any more; the last checkpoint is from before."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"training went astray: {what} holds values that are not numbers", hint)


def keep(files: Mapping[Path, Callable[[Path], object]]) -> None:
    """Have every file written by its function, and only when all are whole let them take their names.

    Raises BadRun if one cannot be written; then none has changed.
    """
    parts = {path: _part(path) for path in files}
    try:
        for path, write in files.items():
            write(parts[path])
        for path, part in parts.items():
            part.replace(path)
    except BROKEN as error:
        names = ", ".join(str(path) for path in files)
        raise BadRun(
            f"{names} cannot be written ({_first_line(error)})", "make room there; the same command then goes on"
        ) from error
    finally:  # also when Ctrl-C came
        for part in parts.values():
            part.unlink(missing_ok=True)


def with_checksum(path: Path, write: Callable[[Path], object]) -> dict[Path, Callable[[Path], object]]:
    """For `keep`: weights that `write` writes to `path`, and their checksum beside them."""

    def note(part: Path) -> None:
        part.write_text(checksum_line(digest(_part(path)), path), encoding="utf-8")

    return {path: write, checksum_path(path): note}


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def read_state(path: Path) -> dict[str, Any]:
    """What `torch.save` put into a checkpoint. Raises BadRun for a file that is damaged or something else."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FOREIGN as error:
        raise BadRun(f"{path} is no checkpoint ({_first_line(error)})", "delete it, or choose another --run") from error
    return state


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
