"""Named shared memory and who owns it: what the operating system knows of a ring, and nothing of pictures."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from bridge.errors import RingError

FOLDER = Path("/dev/shm")  # Linux shows its segments here; macOS and Windows show them nowhere
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,30}")  # macOS: 31 characters, the leading slash among them
_TRACKER = threading.Lock()


def create(name: str, size: int) -> SharedMemory:
    """Make a new segment of `size` zero bytes, really there. Raises FileExistsError, RingError if memory is short.

    Python's resource tracker is told of it, so that it is removed even after `kill -9` of this process.
    """
    with _TRACKER:
        memory = SharedMemory(check_name(name), create=True, size=size)
    try:
        _reserve(name, size)
    except OSError as error:
        memory.close()
        memory.unlink()
        raise RingError(
            f"no room for {size / 2**20:.0f} MB of shared memory", "use a smaller --size, or enlarge /dev/shm"
        ) from error
    return memory


def attach(name: str) -> SharedMemory:
    """Map a segment that someone else made. Raises FileNotFoundError."""
    with _untracked():
        return SharedMemory(check_name(name))


def contents(memory: SharedMemory) -> memoryview:
    """The bytes of an open segment; writing to them writes to the segment."""
    assert memory.buf is not None, "the segment was closed"
    return memory.buf


def remove(name: str) -> None:
    """Take the name away from a segment whose owner is dead; who has it mapped keeps it mapped."""
    with _TRACKER:
        memory = SharedMemory(name)  # tracked here on purpose: `unlink` ends the tracking
    memory.close()
    memory.unlink()


def check_name(name: str) -> str:
    """Return `name` if every system accepts it. Raises RingError."""
    if not _NAME.fullmatch(name):
        raise RingError(f"{name!r:.80} cannot name a ring", "use 1 to 30 letters, digits, dots, dashes, underscores")
    return name


def process_alive(pid: int) -> bool:
    """Whether a process with this id runs, of whichever user."""
    if sys.platform == "win32":  # there, os.kill(pid, 0) would interrupt the process
        return _windows_process_alive(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


@contextmanager
def _untracked() -> Iterator[None]:
    """Keep the resource tracker out of a mapping.

    The trap: until Python 3.13 mapping a segment registers it as if one had made it, and the tracker of whoever
    maps it *removes* it when that process ends, under everyone's feet. Unregistering afterwards is no cure: a
    process that owns a ring and also reads it would lose the owner's entry, which is its clean-up after a crash.
    So for attachers, and only for them, registering does nothing.
    """
    with _TRACKER:
        register = resource_tracker.register
        resource_tracker.register = lambda name, rtype: None
        try:
            yield
        finally:
            resource_tracker.register = register


def _reserve(name: str, size: int) -> None:
    """Claim the pages now: on a full /dev/shm, a common 64 MB in containers, touching one later is a SIGBUS."""
    if sys.platform == "linux" and (path := FOLDER / name).exists():
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _windows_process_alive(pid: int) -> bool:
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
    if not handle:
        error: int = ctypes.get_last_error()  # type: ignore[attr-defined, unused-ignore]
        return error == 5  # ERROR_ACCESS_DENIED: it runs, and is another user's
    running: bool = kernel.WaitForSingleObject(handle, 0) == 0x102  # WAIT_TIMEOUT: not ended
    kernel.CloseHandle(handle)
    return running
