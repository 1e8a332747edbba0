import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from multiprocessing import resource_tracker
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import RingError
from bridge.rings import segment
from bridge.rings.layout import HEADER, MAGIC
from bridge.rings.ring import RingReader, RingWriter, ring_names, sweep
from engine.clock import monotonic
from engine.frame import Frame


def picture(value, width=16, height=8):
    return np.full((height, width, 3), value % 256, np.uint8)


def frame(index, **size):
    return Frame(picture(index, **size), time=index / 10, index=index)


@pytest.fixture
def name():
    return f"lc-test-ring-{os.getpid()}"


@pytest.fixture
def writer(name):
    with RingWriter.create(name, 16, 8, slots=4) as writer:
        yield writer


@pytest.fixture
def reader(writer):
    with RingReader(writer.name) as reader:
        yield reader


def test_a_frame_arrives_as_it_was_sent(writer, reader):
    sent = Frame(np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8), time=12.5, index=7)
    writer.write(sent)

    got = reader.next()

    assert (got.time, got.index) == (12.5, 7)
    np.testing.assert_array_equal(got.pixels, sent.pixels)
    assert got.pixels.flags.owndata, "the writer may come round, and the picture stays"


def test_transparency_survives_where_it_is_asked_for(writer, reader):
    sent = np.random.default_rng(0).integers(0, 256, (8, 16, 4), np.uint8)
    writer.write_rgba(sent, time=1.0, index=2)
    got = np.empty_like(sent)

    assert reader.read_rgba_into(got) == (1.0, 2)
    np.testing.assert_array_equal(got, sent)
    assert reader.read_rgba_into(got) is None, "each picture is read once"


def test_frames_from_the_camera_are_opaque(writer, reader):
    writer.write(frame(5))
    got = np.empty((8, 16, 4), np.uint8)
    reader.read_rgba_into(got)

    assert (got[..., 3] == 255).all()


def test_a_reader_begins_with_the_newest_picture_there_is(writer):
    for index in range(3):
        writer.write(frame(index))
    with RingReader(writer.name) as reader:
        assert reader.next().index == 2
        assert reader.next() is None


def test_pictures_come_in_order_and_each_once(writer, reader):
    for index in range(3):
        writer.write(frame(index))

    assert [reader.next().index for _ in range(3)] == [0, 1, 2]
    assert reader.next() is None
    assert reader.missed == 0


def test_a_slow_reader_misses_the_oldest_and_knows_how_many(writer, reader):
    for index in range(10):
        writer.write(frame(index))

    assert [reader.next().index for _ in range(3)] == [7, 8, 9]
    assert reader.missed == 7


def test_who_wants_the_newest_gets_it_at_once(writer, reader):
    for index in range(10):
        writer.write(frame(index))

    assert reader.latest().index == 9
    assert reader.latest() is None
    assert reader.missed == 0, "skipped on purpose is not missed"


def test_waiting_ends_with_the_timeout(reader):
    began = monotonic()

    assert reader.next(timeout=0.05) is None
    assert monotonic() - began >= 0.05


def test_a_picture_overwritten_while_it_is_copied_is_never_shown(writer, reader, monkeypatch):
    writer.write(frame(0))
    locate, overtaken = reader._locate, []

    def overtake():
        if not overtaken:
            overtaken.extend(range(1, 6))
            for index in overtaken:
                writer.write(frame(index))
        return locate()

    monkeypatch.setattr(reader, "_locate", overtake)

    assert reader.next().index == 4
    assert reader.missed == 4


def test_a_writer_that_died_inside_a_picture_leaves_no_trace(writer, reader):
    with RingWriter.attach(writer.name) as engine:
        engine.write(frame(0))
        engine._begin(9.0, 9)
    assert reader.latest().index == 0
    assert reader.latest() is None

    with RingWriter.attach(writer.name) as engine:
        engine.write(frame(1))
    assert reader.latest().index == 1


@pytest.mark.parametrize("size", [(8, 16), (17, 8), (16, 9)])
def test_another_size_is_refused_by_name(writer, size):
    width, height = size
    with pytest.raises(ValueError, match=rf"16x8, not {width}x{height}"):
        writer.write(frame(0, width=width, height=height))


def test_an_owner_that_lives_is_not_robbed(writer):
    with pytest.raises(RingError, match=f"belongs to process {os.getpid()}") as error:
        RingWriter.create(writer.name, 16, 8)

    assert error.value.hint
    assert not writer.orphaned


@pytest.mark.parametrize("refusal, lives", [(5, True), (87, False)])  # access denied, no such process
def test_on_windows_another_users_program_lives_too(monkeypatch, refusal, lives):
    kernel = SimpleNamespace(OpenProcess=lambda rights, inherit, pid: 0)
    monkeypatch.setattr(ctypes, "WinDLL", lambda library, use_last_error: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: refusal, raising=False)
    monkeypatch.setattr(segment.sys, "platform", "win32")

    assert segment.process_alive(7) is lives


def test_a_ring_can_be_made_again_after_it_was_closed(name):
    for size in (16, 32):
        with RingWriter.create(name, size, size) as writer:
            assert writer.width == size
    assert name not in ring_names()


def test_readers_learn_that_the_owner_left(name):
    writer = RingWriter.create(name, 16, 8)
    writer.write(frame(0))
    with RingReader(name) as reader:
        assert not reader.orphaned
        writer.close()
        assert reader.orphaned
        assert reader.latest().index == 0, "what was there may still be read"


@pytest.mark.parametrize("width", [8, 16], ids=["smaller", "as large as before"])
def test_readers_let_go_of_a_ring_that_is_made_anew_in_the_same_memory(name, width):
    """As on Windows, where a name lives on while anybody has it open."""
    with RingWriter.create(name, 16, 8, slots=3) as writer:
        for index in range(5):
            writer.write(frame(index))
        with RingReader(name) as reader:
            assert reader.latest().index == 4
            assert not reader.orphaned
            again = 64 + width * 8 * 4
            HEADER.pack_into(writer._memory.buf, 0, MAGIC, 1, 64, width, 8, 1, 3, again, os.getpid(), 0, 1)

            assert reader.next(0.0) is None
            assert reader.orphaned
        with RingReader(name) as reader:
            assert (reader.width, reader.orphaned) == (width, False)


def test_closing_twice_is_fine(writer, reader):
    for ring in (reader, reader, writer, writer):
        ring.close()


def test_a_ring_that_is_not_there_says_so_in_one_sentence():
    with pytest.raises(RingError, match="no ring named lc-test-nowhere") as error:
        RingReader("lc-test-nowhere")

    assert "latentcast run" in error.value.hint


@pytest.mark.parametrize("bad", ["", "a/b", "x" * 31, "ä", "a b"])
def test_a_name_that_some_system_refuses_is_refused_everywhere(bad):
    with pytest.raises(RingError, match="cannot name a ring"):
        RingWriter.create(bad, 16, 8)


def test_a_ring_of_another_version_is_refused(writer):
    writer._bytes[8] = 9
    with pytest.raises(RingError, match="speaks version 9"):
        RingReader(writer.name)


def test_the_memory_of_another_program_is_neither_read_nor_taken(name):
    memory = segment.create(name, 4096)
    try:
        with pytest.raises(RingError, match="not a ring"):
            RingReader(name)
        with pytest.raises(RingError, match="another program"):
            RingWriter.create(name, 16, 8)
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize(
    ("offset", "value"), [(16, 0), (20, 2**31), (28, 0), (28, 2), (32, 64), (32, 2**40), (12, 7)], ids=str
)
def test_a_header_that_cannot_be_is_refused_in_one_sentence(writer, offset, value):
    writer._bytes[offset : offset + 4] = (value % 2**32).to_bytes(4, "little")
    with pytest.raises(RingError, match="cannot be|cut short"):
        RingReader(writer.name)


@pytest.mark.skipif(not segment.FOLDER.is_dir(), reason="shared memory has no folder on this system")
def test_an_empty_file_among_the_shared_memory_is_no_ring_and_disturbs_nobody(name):
    path = segment.FOLDER / name
    path.touch()
    try:
        assert name not in ring_names()
        with pytest.raises(RingError, match="cannot be opened"):
            RingReader(name)
        with pytest.raises(RingError, match="another program"):
            RingWriter.create(name, 16, 8)
    finally:
        path.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says beforehand that memory is short")
def test_a_ring_larger_than_the_machine_is_refused_and_leaves_nothing(name):
    with pytest.raises(RingError, match="no room for"):
        RingWriter.create(name, 2**16, 2**15, slots=4000)
    assert name not in [path.name for path in segment.FOLDER.iterdir()]


@pytest.mark.skipif(not segment.FOLDER.is_dir(), reason="shared memory has no folder to look into on this system")
def test_rings_are_found_by_name(writer):
    assert writer.name in ring_names()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["write", "next", "latest"]), max_size=60), st.integers(3, 6))
def test_whatever_the_order_pictures_only_move_forward(moves, slots):
    seen, written = [], 0
    with ExitStack() as stack:
        writer = stack.enter_context(RingWriter.create(f"lc-test-hyp-{os.getpid()}", 4, 2, slots))
        reader = stack.enter_context(RingReader(writer.name))
        for move in moves:
            if move == "write":
                writer.write(frame(written, width=4, height=2))
                written += 1
            elif (got := getattr(reader, move)()) is not None:
                assert (got.pixels == got.index % 256).all()
                seen.append(got.index)
    assert seen == sorted(set(seen))
    assert not seen or seen[-1] < written


# ---- real processes


def flood(name, seconds):
    """Write pictures of one colour each, as fast as one can."""
    with RingWriter.attach(name) as writer:
        end, index, pixels = monotonic() + seconds, 0, np.empty((120, 160, 4), np.uint8)
        while monotonic() < end:
            pixels[:] = index % 256
            writer.write_rgba(pixels, time=float(index), index=index)
            index += 1


@pytest.mark.process
@pytest.mark.parametrize("slots", [3, 16])
def test_no_reader_ever_sees_a_torn_picture(name, slots):
    with RingWriter.create(name, 160, 120, slots), RingReader(name) as newest, RingReader(name) as ordered:
        writer = multiprocessing.get_context("spawn").Process(target=flood, args=(name, 3.0))
        writer.start()
        pixels, seen = np.empty((120, 160, 4), np.uint8), 0
        while writer.is_alive():
            if (stamp := newest.read_rgba_into(pixels)) is not None:
                assert stamp[0] == stamp[1]
                assert (pixels == stamp[1] % 256).all()
                seen += 1
            if (got := ordered.next()) is not None:
                assert got.time == got.index
                assert (got.pixels == got.index % 256).all()
        writer.join()
    assert writer.exitcode == 0
    assert seen > 50


OWNER = """
import os, signal, sys
from bridge.rings.ring import RingWriter
ring = RingWriter.create({name!r}, 16, 8)
print("ready", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL) if {killed} else sys.exit()
"""


def owner(name, killed):
    code = OWNER.format(name=name, killed=killed)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def gone(name, within=60.0):
    deadline = monotonic() + within
    while monotonic() < deadline:
        if name not in ring_names():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.process
@pytest.mark.parametrize("killed", [False, True], ids=["by itself", "by kill -9"])
def test_a_ring_goes_with_its_owner_however_it_ends(name, killed):
    process = owner(name, killed)
    with RingReader(name) as reader:
        process.communicate("")
        assert reader.orphaned
        assert gone(name)


@pytest.mark.process
def test_a_reader_that_ends_leaves_the_ring_alone(writer):
    code = f"from bridge.rings.ring import RingReader; RingReader({writer.name!r}).next()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert writer.name in ring_names()


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="there the system itself forgets the memory")
def test_the_ring_of_a_dead_owner_is_taken_over(name):
    process = owner(name, killed=True)
    with RingReader(name) as reader:
        stale = bytes(reader._bytes)
        process.communicate("")
        assert gone(name)
    memory = segment.create(name, len(stale))  # as if even the clean-up after the owner had been killed
    memory.buf[:] = stale
    memory.close()

    with RingWriter.create(name, 32, 32) as writer:
        assert writer.width == 32


# ---- who owns a ring, and what is left of those that nobody owns


def leave_behind(name, pid, started=0, first=128):
    """A ring as a program leaves it when even the clean-up after it is killed."""
    size, slot = first + 3 * (64 + 16 * 8 * 4), 64 + 16 * 8 * 4
    memory = segment.SharedMemory(name, create=True, size=size)
    resource_tracker.unregister(memory._name, "shared_memory")
    HEADER.pack_into(memory.buf, 0, MAGIC, 1, first, 16, 8, 1, 3, slot, pid, 0, 1)
    if first >= 128:
        memory.buf[64:72] = started.to_bytes(8, "little")
    return memory


def ended_process():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)
    return process.pid


@pytest.mark.skipif(sys.platform == "win32", reason="there, memory ends with its last user")
def test_the_ring_of_a_dead_owner_is_taken_over_though_another_program_has_its_process_id_now(name):
    memory = leave_behind(name, os.getppid(), started=segment.process_started(os.getppid()) + 1)
    with RingReader(name) as reader:
        assert reader.orphaned, "and who reads it knows that nothing more will come"
    with RingWriter.create(name, 16, 8, slots=3) as writer, RingReader(name) as reader:
        writer.write(frame(1))
        assert reader.next().index == 1
        assert not reader.orphaned
    memory.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there, memory ends with its last user")
@pytest.mark.parametrize("first", [64, 128])
def test_a_ring_that_does_not_say_when_its_owner_was_started_is_its_as_long_as_that_process_runs(name, first):
    memory = leave_behind(name, os.getppid(), first=first)
    try:
        with RingReader(name) as reader:
            assert not reader.orphaned
        with pytest.raises(RingError, match=f"belongs to process {os.getppid()}"):
            RingWriter.create(name, 16, 8, slots=3)
    finally:
        memory.close()
        memory.unlink()


def test_when_a_process_was_started_is_the_same_for_all_who_ask():
    code = f"from bridge.rings.segment import process_started; print(process_started({os.getpid()}))"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert int(asked.stdout) == segment.process_started(os.getpid()) > 0
    assert segment.process_started(2**30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists shared memory")
def test_what_runs_left_behind_that_were_killed_with_everything_is_swept_and_nothing_else():
    dead, mine = ended_process(), os.getpid()
    theirs = leave_behind(f"lc-{dead}-wet", dead, started=7)
    reused = leave_behind(f"lc-{os.getppid()}-in", os.getppid(), started=7)
    torn = segment.SharedMemory(f"lc-{dead}-in", create=True, size=64)  # killed while it was being made
    resource_tracker.unregister(torn._name, "shared_memory")
    kept = leave_behind(f"lc-test-{dead}", dead, started=7)
    try:
        with RingWriter.create(f"lc-{mine}-wet", 16, 8, slots=3):
            swept = sweep()
            assert {f"lc-{dead}-wet", f"lc-{dead}-in", f"lc-{os.getppid()}-in"} <= set(swept)
            assert f"lc-{mine}-wet" in ring_names()
        assert kept.name in ring_names()
    finally:
        for memory in (theirs, reused, torn, kept):
            memory.close()
        segment.remove(kept.name)


def test_reading_a_ring_leaves_what_other_threads_share_alone(writer):
    """Python's resource tracker cleans up after a crash, and has to be told of whatever any thread makes meanwhile."""
    register, over = resource_tracker.register, threading.Event()
    changed = []

    def look():
        while not over.is_set():
            if resource_tracker.register is not register:
                changed.append(True)

    watching = threading.Thread(target=look)
    watching.start()
    for _ in range(300):
        RingReader(writer.name).close()
    over.set()
    watching.join()

    assert not changed
