"""docs/ring.md, followed to the letter by programs that know nothing else: they import no line of the bridge."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bridge.rings.layout import COUNT, FIRST, HEADER, MAGIC
from bridge.rings.ring import RingReader, RingWriter
from engine.frame import Frame

PAGE = Path(__file__).parents[3] / "docs" / "ring.md"
OPEN = """
import mmap, struct, sys
def open_ring(name):
    if sys.platform == "win32":
        head = mmap.mmap(-1, 64, tagname=name)
        header, slots, stride = struct.unpack_from("<12xI12xIQ", head)
        return mmap.mmap(-1, header + slots * stride, tagname=name)
    import _posixshmem, os
    return mmap.mmap(_posixshmem.shm_open("/" + name, os.O_RDWR, mode=0o600), 0)
memory = open_ring(sys.argv[1])
u32 = lambda at: struct.unpack_from("<I", memory, at)[0]
u64 = lambda at: struct.unpack_from("<Q", memory, at)[0]
f64 = lambda at: struct.unpack_from("<d", memory, at)[0]
assert memory[:8] == b"LCASTRNG" and u32(8) == 1 and u32(24) == 1
header, width, height, slots, stride = u32(12), u32(16), u32(20), u32(28), u64(32)
"""
READ = """
n = u64(48) - 1
slot = header + n % slots * stride
assert u64(slot) == 2 * n + 2
index, time = u64(slot + 8), f64(slot + 16)
pixels = memory[slot + 64 : slot + 64 + width * height * 4]
assert u64(slot) == 2 * n + 2
row = width * 4
print(width, height, slots, n, index, time, u64(40), u64(56), *pixels[:4], *pixels[row:row + 4], *pixels[-4:])
"""
WRITE = """
for step in range(5):
    n = u64(48)
    slot = header + n % slots * stride
    struct.pack_into("<Q", memory, slot, 2 * n + 1)
    struct.pack_into("<Qd", memory, slot + 8, 100 + step, 0.5 * step)
    memory[slot + 64 : slot + 64 + width * height * 4] = bytes([step, 2, 3, 255]) * (width * height)
    struct.pack_into("<Q", memory, slot, 2 * n + 2)
    struct.pack_into("<Q", memory, 48, n + 1)
print(width, height)
"""


@pytest.fixture
def writer():
    with RingWriter.create(f"lc-test-page-{os.getpid()}", 10, 6, slots=3) as writer:
        yield writer


def follow_the_page(code, name):
    ended = subprocess.run([sys.executable, "-I", "-c", OPEN + code, name], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    return [float(word) for word in ended.stdout.split()]


@pytest.mark.process
def test_a_stranger_reads_our_pictures_by_the_page_alone(writer):
    pixels = np.zeros((6, 10, 3), np.uint8)
    pixels[0, 0], pixels[1, 0], pixels[-1, -1] = (1, 2, 3), (4, 5, 6), (7, 8, 9)
    for index in range(5):
        writer.write(Frame(pixels, time=2.25, index=40 + index))

    said = follow_the_page(READ, writer.name)

    assert said[:8] == [10, 6, 3, 4, 44, 2.25, os.getpid(), 1]
    assert said[8:] == [1, 2, 3, 255, 4, 5, 6, 255, 7, 8, 9, 255], "top row first, red first"


@pytest.mark.process
def test_a_stranger_writes_pictures_we_read_by_the_page_alone(writer):
    with RingReader(writer.name) as reader:
        assert follow_the_page(WRITE, writer.name) == [10, 6]
        frames = [reader.next(), reader.next()]

    assert [(f.index, f.time) for f in frames] == [(103, 1.5), (104, 2.0)]
    assert (frames[1].pixels == (4, 2, 3)).all()
    assert reader.missed == 3


def test_the_page_says_what_the_code_does():
    page = PAGE.read_text(encoding="utf-8")

    assert MAGIC.decode() in page
    assert f"The header: {HEADER.size} bytes" in page
    for row in ("| 48 | u64 | count |", "| 56 | u64 | open |", "| 64 | bytes | pixels |"):
        assert row in page


class Witness:
    """The numbers of a ring, looked at by another program after each that is written."""

    def __init__(self, words, look):
        self._words, self._look = words, look

    def __getitem__(self, place):
        return self._words[place]

    def __setitem__(self, place, value):
        self._words[place] = value
        self._look()

    def release(self):
        self._words.release()


def test_at_whatever_instant_one_looks_every_picture_that_is_counted_and_still_there_is_whole(writer):
    """The lock is written before the counter: who looks in between would else copy a picture in vain."""
    seen = []

    def look():
        count = words[COUNT]
        there = range(max(0, count - writer.slots + 1), count)
        seen.append(all(words[(FIRST + n % writer.slots * stride) // 8] == 2 * n + 2 for n in there))

    words, stride = writer._words, -(-(64 + 6 * 10 * 4) // 64) * 64
    writer._words = Witness(writer._words, look)
    for index in range(8):
        writer.write(Frame(np.zeros((6, 10, 3), np.uint8), 0.0, index))

    assert len(seen) >= 8 * 3
    assert all(seen)
