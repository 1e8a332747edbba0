"""Named shared memory and who owns it: what the operating system knows of a ring, and nothing of pictures."""

from __future__ import annotations

import mmap
import os
import re
import sys
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from bridge.errors import RingError

FOLDER = Path("/dev/shm")  # Linux shows its segments here; macOS and Windows show them nowhere
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,30}")  # macOS: 31 characters, the leading slash among them
_STARTED = 19  # where /proc/PID/stat says in which tick since boot it was started, counted from behind the name


def create(name: str, size: int) -> SharedMemory:
    """Make a new segment of `size` zero bytes, really there. Raises FileExistsError, RingError if memory is short.

    Python's resource tracker is told of it, so that it is removed even after `kill -9` of this process.
    """
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
    if sys.version_info >= (3, 13):
        return SharedMemory(check_name(name), track=False)
    if sys.platform == "win32":  # where nothing is tracked
        return SharedMemory(check_name(name))
    return _Untracked(check_name(name))


def contents(memory: SharedMemory) -> memoryview:
    """The bytes of an open segment; writing to them writes to the segment."""
    assert memory.buf is not None, "the segment was closed"
    return memory.buf


def remove(name: str) -> None:
    """Take the name away from a segment whose owner is dead; who has it mapped keeps it mapped."""
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


def process_started(pid: int) -> int:
    """When a process was started, as a number that the next one with the same id does not have; 0 if nobody says.

    On Linux ticks since boot, which no change of the clock moves; elsewhere milliseconds since 1970.
    """
    if sys.platform != "linux":
        return _created(pid)
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):  # gone, or the system hides other users' processes
        return 0


def owner_lives(pid: int, started: int) -> bool:
    """Whether the process runs that had this id and was started then; `started` is 0 where that is not known."""
    return process_alive(pid) and (not started or process_started(pid) in (0, started))


def left_behind(pattern: re.Pattern[str]) -> list[Path]:
    """Segments of this user whose names fit, where the system shows them; somebody may use them."""
    found = []
    for path in FOLDER.iterdir() if sys.platform == "linux" and FOLDER.is_dir() else ():
        with suppress(OSError):  # gone meanwhile
            if pattern.fullmatch(path.name) and path.stat().st_uid == os.getuid():
                found.append(path)
    return found


class _Untracked(SharedMemory):
    """What `track=False` makes, which Python has from 3.13 on.

    The trap: before, mapping a segment registers it with the resource tracker as if one had made it, and the tracker
    of whoever maps it *removes* it when that process ends, under everyone's feet. Unregistering afterwards is no cure:
    a process that owns a ring and also reads it would lose the owner's entry, which is its clean-up after a crash.
    """

    def __init__(self, name: str) -> None:
        import _posixshmem

        self._name = f"/{name}"
        self._fd = _posixshmem.shm_open(self._name, os.O_RDWR, mode=0o600)
        try:
            self._size = os.fstat(self._fd).st_size
            self._mmap = mmap.mmap(self._fd, self._size)
        except (OSError, ValueError):
            os.close(self._fd)
            self._fd = -1
            raise
        self._buf = memoryview(self._mmap)


def _reserve(name: str, size: int) -> None:
    """Claim the pages now: on a full /dev/shm, a common 64 MB in containers, touching one later is a SIGBUS."""
    if sys.platform == "linux" and (path := FOLDER / name).exists():
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _created(pid: int) -> int:
    import psutil

    try:
        return int(1000 * psutil.Process(pid).create_time())
    except (psutil.Error, OverflowError):
        return 0


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
