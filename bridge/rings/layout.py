"""docs/ring.md in numbers, and the opening and claiming of shared memory by it."""

from __future__ import annotations

import os
import struct
import sys
from multiprocessing.shared_memory import SharedMemory

from bridge.errors import RingError
from bridge.rings import segment

MAGIC = b"LCASTRNG"
VERSION = 1
RGBA8 = 1
ALIGN = 64
FIRST = 128  # where slot 0 begins in a ring of ours: behind `started`, which not every ring has
RING_BYTES = 64 * 2**20  # of pictures that a ring of a run holds, about
HEADER = struct.Struct("<8sIIIIIIQQQQ")  # magic version header width height format slots | stride owner count open
# what a picture is; most writers do not say
KINDS = {"": 0, "effect": 1, "input": 2, "slate": 3, "no input": 4, "held input": 5}
SHAPE = slice(12, 40)  # bytes of HEADER that say where the slots and their pixels lie
OWNER, COUNT, OPEN, STARTED = 5, 6, 7, 8  # places, counted in 8 bytes; a slot begins with lock, index, time


def slots_for(width: int, height: int) -> int:
    """How many pictures a ring of a run holds: seconds of small ones, 8 of the largest."""
    return min(max(RING_BYTES // (width * height * 4), 8), 64)


def ring_size(width: int, height: int, slots: int) -> int:
    """Bytes of a whole ring."""
    return FIRST + slots * _stride(width, height)


def make(name: str, width: int, height: int, slots: int) -> SharedMemory:
    """An empty ring that this process owns. Raises RingError if someone who lives owns the name."""
    stride = _stride(width, height)
    memory = _claim(name, ring_size(width, height, slots))
    head = segment.contents(memory)
    head[:FIRST] = bytes(FIRST)
    HEADER.pack_into(head, 0, bytes(8), VERSION, FIRST, width, height, RGBA8, slots, stride, os.getpid(), 0, 1)
    head[8 * STARTED : 8 * STARTED + 8] = segment.process_started(os.getpid()).to_bytes(8, "little")
    head[:8] = MAGIC  # last: a ring is one only when its header is whole
    return memory


def find(name: str) -> SharedMemory:
    """The ring called `name`, whoever made it. Raises RingError."""
    try:
        memory = segment.attach(name)
    except FileNotFoundError as error:
        raise RingError(
            f"there is no ring named {name}", "start `latentcast run`, or look at `latentcast doctor`"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: it is empty, perhaps because it is just being made
        raise RingError(f"the ring {name} cannot be opened: {error}", "it may be another user's") from error
    if problem := _problem(memory):
        memory.close()
        raise RingError(f"{name} {problem}", "update the older of the two programs, or use another name")
    return memory


def started(head: memoryview) -> int:
    """When the owner of a ring was started, as segment.process_started has it; 0 if the ring does not say."""
    first = int.from_bytes(head[12:16], "little")
    return int.from_bytes(head[8 * STARTED : 8 * STARTED + 8], "little") if first >= FIRST else 0


def _stride(width: int, height: int) -> int:
    return ALIGN + -(-width * height * 4 // ALIGN) * ALIGN


def _problem(memory: SharedMemory) -> str:
    head = bytes(segment.contents(memory)[:ALIGN])
    if len(head) < ALIGN or head[:8] != MAGIC:
        return "is shared memory, but not a ring"
    _, version, first, width, height, form, slots, stride, *_ = HEADER.unpack_from(head)
    if version != VERSION or form != RGBA8:
        return f"speaks version {version}, format {form}; this program speaks version {VERSION}, format {RGBA8}"
    if slots < 3 or not width * height or stride < ALIGN + width * height * 4 or first % ALIGN or stride % ALIGN:
        return f"says that it holds {slots} pictures of {width}x{height}, {stride} bytes each, which cannot be"
    return "is cut short" if memory.size < first + slots * stride else ""


def _claim(name: str, size: int) -> SharedMemory:
    """A segment of at least `size` bytes that nobody else owns."""
    try:
        return segment.create(name, size)
    except FileExistsError:
        memory = _attach_foreign(name)
    try:
        _check_free(name, memory)
        if sys.platform == "win32" and memory.size < size:
            raise RingError(f"ring {name} is held open by a reader, and is too small", "close that program first")
    except RingError:
        memory.close()
        raise
    if sys.platform == "win32":  # there, a name lives as long as any reader: use the memory again
        return memory
    memory.close()
    segment.remove(name)
    return segment.create(name, size)


def _attach_foreign(name: str) -> SharedMemory:
    try:
        return segment.attach(name)
    except (OSError, ValueError) as error:
        raise RingError(f"{name} is the shared memory of another program", "use another name") from error


def _check_free(name: str, memory: SharedMemory) -> None:
    """Raises RingError if the memory is no ring at all, or a ring whose owner lives."""
    whole = segment.contents(memory)
    head = bytes(whole[:ALIGN])
    if len(head) < ALIGN or head[:8] != MAGIC:
        raise RingError(f"{name} is the shared memory of another program", "use another name")
    owner, _, is_open = HEADER.unpack_from(head)[-3:]
    if is_open and segment.owner_lives(owner, started(whole)):
        raise RingError(f"ring {name} belongs to process {owner}, which runs", "stop it, or use another name")
