"""`python -I watch.py RING`: a program that knows docs/ring.md, and nothing of ours. At the end it says what it saw.

It looks every millisecond, so a gap is what a viewer would see: the time between two pictures in the ring.
"""

import json
import mmap
import os
import struct
import sys
import threading
import time

CHECK_EVERY = 0.001  # seconds between two looks
PAGE = "<QQdQ"  # a slot's lock, index, time and kind


class Ring:
    """One ring, attached read-only."""

    def __init__(self, name):
        with open(f"/dev/shm/{name}", "rb") as file:
            self.inode = os.fstat(file.fileno()).st_ino
            self.memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if self.memory[:8] != b"LCASTRNG":
            raise OSError("no ring yet")
        self.header, self.width, self.height, _, self.slots, self.stride = struct.unpack_from(
            "<IIIIIQ", self.memory, 12
        )

    @property
    def count(self):
        return struct.unpack_from("<Q", self.memory, 48)[0]

    @property
    def open(self):
        return struct.unpack_from("<Q", self.memory, 56)[0] == 1

    def read(self, number):
        """(capture time, kind) of a picture copied whole; None if the writer came round meanwhile."""
        at = self.header + number % self.slots * self.stride
        lock, _, moment, kind = struct.unpack_from(PAGE, self.memory, at)
        bytes(self.memory[at + 64 : at + 64 + 4 * self.width * self.height])
        after = struct.unpack_from("<Q", self.memory, at)[0]
        return (moment, kind) if lock == after == 2 * number + 2 else None


def attach(name, within=60.0):
    deadline = time.perf_counter() + within
    while True:
        try:
            return Ring(name)
        except (OSError, ValueError):
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.02)


def watch(ring, over):
    """Every picture from now on: [(moment it was seen, seconds since its capture, kind)], and how many came apart."""
    seen, torn, number = [], 0, ring.count
    while not over.is_set() and ring.open:
        time.sleep(CHECK_EVERY)
        while number < (count := ring.count):
            number = max(number, count - ring.slots + 1)
            if (found := ring.read(number)) is None:
                torn += 1
            else:
                now = time.perf_counter()
                seen.append((now, now - found[0], found[1]))
            number += 1
    return seen, torn


def main():
    over = threading.Event()
    ring = attach(sys.argv[1])
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    seen, torn = watch(ring, over)
    json.dump({"seen": seen, "torn": torn}, sys.stdout)


if __name__ == "__main__":
    main()
