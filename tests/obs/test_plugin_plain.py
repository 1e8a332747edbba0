"""The plugin's C without OBS: rings against Python's both ways, OSC against python-osc, the slate against the bridge's.

Built with AddressSanitizer and UndefinedBehaviorSanitizer where the compiler has them, so that a leak or a stray access
fails.
"""

import importlib.util
import os
import subprocess
import threading
import time

import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.errors import RingError
from bridge.media.slate import slate
from bridge.rings import segment
from bridge.rings.layout import HEADER
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.obs.lab import until
from tests.obs.plugin import SOURCES, Ear, build, cannot_compile, own

SANITIZED = "-DLATENTCAST_SANITIZE=address,undefined"


@pytest.fixture(scope="session")
def peer(tmp_path_factory):
    """The program plugins/obs/tests/ring_peer.c."""
    if reason := cannot_compile():
        pytest.skip(reason)
    options = ["-DLATENTCAST_PEER=ON", *([SANITIZED] if has_sanitizers(tmp_path_factory.mktemp("probe")) else [])]
    return build(tmp_path_factory.mktemp("peer"), *options) / "ring-peer"


def has_sanitizers(folder):
    (folder / "x.c").write_text("int main(void) { return 0; }")
    command = ["cc", "-fsanitize=address,undefined", "x.c", "-o", "x"]
    built = subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    return built and subprocess.run([folder / "x"], capture_output=True).returncode == 0


@pytest.fixture
def ask(peer):
    """Runs the program to its end: what it said, and its exit code."""

    def run(*words, stdin=""):
        command = [str(peer), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=stdin)
        assert done.stderr == "", "a sanitizer complains"
        return done.stdout.strip(), done.returncode

    return run


class Started:
    """The program while it runs; it ends when its stdin does."""

    def __init__(self, peer, *words):
        self.process = subprocess.Popen(
            [str(peer), *map(str, words)], stdin=-1, stdout=-1, stderr=subprocess.PIPE, text=True
        )
        self.said = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, complaints = self.process.communicate(timeout=60)
        assert (complaints, self.process.returncode) == ("", 0)


def test_c_reads_what_python_writes_and_nothing_torn_under_load(ask):
    with RingWriter.create(own("py"), 320, 192, slots=3) as ring:
        over = threading.Event()

        def write():
            number = 0
            while not over.is_set():
                pixels = ring._begin(0.5 * number, number)
                pixels[:] = number % 256
                ring._end()
                number += 1
                if number % 7 == 0:  # bursts, which come round a ring of three while a reader copies
                    time.sleep(0.0005)

        thread = threading.Thread(target=write)
        thread.start()
        said, code = ask("read", ring.name, 500)
        over.set()
        thread.join()

    assert code == 0, said
    assert said.startswith("320x192 good 500 overtaken ")
    assert " torn 0 wrong 0 " in said


def test_python_reads_what_c_writes_and_nothing_torn_under_load(peer):
    with Started(peer, "write", own("c"), 161, 97, 1) as started:
        assert started.said == "ready"
        with RingReader(own("c")) as reader:
            assert (reader.width, reader.height) == (161, 97)
            pixels = np.empty((97, 161, 4), np.uint8)
            for _ in range(100):
                moment, index = until(lambda: reader.read_rgba_into(pixels), 10, "nothing new")
                assert (pixels == index % 256).all()
                assert moment == 0.5 * index
    with pytest.raises(RingError, match="no ring"):
        RingReader(own("c"))


def test_a_stamp_of_c_is_of_the_clock_that_python_reads(peer):
    before = monotonic()
    with Started(peer, "stamp", own("now")) as started, RingReader(own("now")) as reader:
        moment, _ = until(lambda: reader.read_rgba_into(np.empty((8, 16, 4), np.uint8)), 10, "nothing new")

        assert before <= moment <= monotonic()
        assert float(started.said) == pytest.approx(moment, abs=1e-5)


def test_c_refuses_what_is_no_ring_of_its_version_in_one_sentence(ask):
    assert ask("open", own("nobody")) == (f"there is no ring named {own('nobody')} yet", 1)
    assert "cannot name a ring" in ask("open", "../x")[0]
    with RingWriter.create(own("odd"), 16, 8, slots=3) as ring:
        for at, value, sentence in (
            (8, 2, "version 2, format 1"),
            (24, 9, "version 1, format 9"),
            (28, 2, "which cannot be"),
            (16, 4000, "which cannot be"),
            (35, 255, "which cannot be"),
            (0, 65, "is shared memory, but not a ring"),
        ):
            before = ring._memory.buf[at : at + 2].tobytes()
            ring._memory.buf[at : at + 2] = value.to_bytes(2, "little") if at == 16 else bytes([value, before[1]])
            said, code = ask("open", ring.name)
            ring._memory.buf[at : at + 2] = before
            assert (sentence in said, said.count("\n"), code) == (True, 0, 1), said
        assert ask("open", ring.name) == ("16x8", 0)


def test_c_refuses_a_header_whose_numbers_overflow(ask):
    path = segment.FOLDER / own("huge")
    try:
        with open(path, "wb") as file:  # sparse: 2^44 bytes that nobody has; 2^20 slots of 2^44 bytes are 0 in 64 bits
            file.write(HEADER.pack(b"LCASTRNG", 1, 64, 16, 8, 1, 2**20, 2**44, os.getpid(), 1, 1))
            file.truncate(2**44)
        said, code = ask("open", own("huge"))
    finally:
        path.unlink()

    assert ("which cannot be" in said, code) == (True, 1), said


def test_c_does_not_open_the_ring_of_a_program_that_was_killed(ask, peer):
    started = Started(peer, "create", own("late"), 32, 8)
    assert ask("open", own("late")) == ("32x8", 0)
    started.process.kill()
    started.process.communicate()
    try:
        said, code = ask("open", own("late"))
    finally:
        segment.remove(own("late"))

    assert ("the program that made it has ended" in said, code) == (True, 1), said


def test_looking_at_the_memory_of_another_program_does_not_fill_it(ask):
    path = segment.FOLDER / own("holes")
    try:
        with open(path, "wb") as file:
            file.truncate(2**24)
        said, code = ask("open", own("holes"))
        filled = path.stat().st_blocks * 512
    finally:
        path.unlink()

    assert ("not a ring" in said, code) == (True, 1), said
    assert filled < 2**20


def test_a_ring_of_a_living_program_is_left_alone_and_that_of_a_dead_one_taken_over(ask, peer):
    with RingWriter.create(own("mine"), 16, 8, slots=3) as ring:
        said, code = ask("create", ring.name, 32, 8)
        assert (code, said.partition(" belongs")[0]) == (1, f"ring {ring.name}")
        ring._words[5] = 2**22 - 3  # an owner that no Linux numbers so
        with Started(peer, "create", ring.name, 32, 8) as started:
            assert started.said == "32x8"
            with RingReader(ring.name) as reader:
                assert (reader.width, reader.height) == (32, 8)


def test_c_lets_go_of_a_ring_that_is_made_anew_in_the_same_memory(peer):
    with RingWriter.create(own("anew"), 64, 64, slots=3) as ring:
        reader = subprocess.Popen([peer, "read", ring.name, "1000000"], stdout=-1, stderr=-1, text=True)
        for number in range(200):
            ring._begin(0.5 * number, number)[:] = number % 256
            ring._end()
            time.sleep(0.01)
        HEADER.pack_into(ring._memory.buf, 0, b"LCASTRNG", 1, 64, 24, 24, 1, 3, 64 + 24 * 24 * 4, os.getpid(), 0, 1)
        said, complaints = reader.communicate(timeout=60)

    assert (complaints, said.partition(" good ")[0]) == ("", "64x64")
    assert 0 < int(said.split()[2]) <= 200
    assert " torn 0 wrong 0 " in said
    assert said.strip().endswith(" open 0")


def test_python_takes_over_the_ring_of_a_c_program_that_was_killed(peer):
    started = Started(peer, "create", own("dead"), 32, 8)
    started.process.kill()
    started.process.communicate()

    with RingWriter.create(own("dead"), 16, 8, slots=3) as ring:
        ring.write(Frame(np.zeros((8, 16, 3), np.uint8), 0.0, 0))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("s", "a café | neon:0.3", None), ("s", "abcd", None), ("s", "", None), ("f", "0.7", 0.7), ("i", "-3", -3)]
    + [("b", "1", True), ("b", "0", False), ("n", "", None)],
)
def test_osc_is_what_python_osc_would_send(ask, kind, text, value):
    builder = OscMessageBuilder(address="/latentcast/x")
    if kind != "n":
        builder.add_arg(text if kind == "s" else value)
    with Ear() as ear:
        assert ask("osc", ear.port, "/latentcast/x", kind, text) == ("", 0)
        ear.socket.settimeout(5)

        assert ear.socket.recv(65536) == builder.build().dgram


def test_a_message_too_long_for_osc_is_not_sent(ask):
    assert ask("osc", 9, "/x", "s", "x" * 5000) == ("not sent", 1)


def test_the_slate_looks_like_the_bridge_s(peer):
    raw = subprocess.run([peer, "slate"], capture_output=True, check=True).stdout
    ours = np.frombuffer(raw, np.uint8).reshape(360, 640, 4)
    theirs = slate(640, 360, "waiting")

    assert (ours[..., 3] == 255).all()
    assert np.abs(ours[..., :3].astype(int) - theirs).mean() < 6


def test_the_generated_header_is_current():
    spec = importlib.util.spec_from_file_location("generate", SOURCES / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)

    assert generate.TARGET.read_text("utf-8") == generate.header(), "run python plugins/obs/generate.py"
