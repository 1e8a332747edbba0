import signal
import sys
import time
from contextlib import suppress

import av
import numpy as np
import pytest

from bridge.adapters.base import load_sink
from bridge.adapters.sink_main import drain
from bridge.adapters.testcard import read_number
from bridge.process.protocol import END_TIMEOUT
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.child_processes import TIMEOUT, child, ring_name
from tests.bridge.films import numbered, read_film

pytestmark = pytest.mark.process
STREAMING = {"stage": "streaming", "preset": "", "progress": ""}


@pytest.fixture
def ring():
    with RingWriter.create(ring_name(), 160, 96, 64) as ring:  # a busy machine reads late
        yield ring


def play(ring, count, gap=0.01, picture=numbered, first=0):
    for index in range(first, first + count):
        ring.write(Frame(picture(index), monotonic(), index))
        time.sleep(gap)


def recorded(path):
    """How many pictures a file has that is still being written."""
    with suppress(av.FFmpegError):
        return len(read_film(path))
    return 0


def noise(index):
    return np.random.default_rng(index).integers(0, 256, (96, 160, 3), np.uint8)


def test_a_recording_is_finished_when_the_bridge_goes(ring, tmp_path):
    with child(
        "bridge.adapters.sink_main", f"recorder:{tmp_path / 'show.mp4'}", "--ring", ring.name, "--fps", 50
    ) as sink:
        assert sink.hear()["stage"] == "streaming"
        play(ring, 40)

        assert sink.end() == 0

    numbers = [read_number(pixels) for pixels, _ in read_film(tmp_path / "show.mp4")]
    assert numbers == list(range(numbers[0], 40))


def test_a_recording_is_finished_though_that_takes_longer_than_others_have_for_their_end(ring, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSES_IN", str(2 * END_TIMEOUT))
    target = tmp_path / "show.mp4"
    with child("tests.bridge.slow_recorder", f"recorder:{target}", "--ring", ring.name, "--fps", 50) as sink:
        assert sink.hear() == {**STREAMING, "device": "show.mp4", "part": f"{target}.part"}
        play(ring, 40)
        sink.process.stdin.close()

        assert sink.hear() == {**STREAMING, "stage": "finishing", "device": "show.mp4", "part": f"{target}.part"}
        assert sink.process.wait(TIMEOUT) == 0
    assert len(read_film(target)) > 20


def test_the_last_pictures_are_sent_though_the_word_to_stop_came_first(ring):
    sink = load_sink("memory")
    sink.open(160, 96, 50)
    with RingReader(ring.name) as reader:
        play(ring, 10, gap=0)
        drain(sink, reader, lambda: None)

    assert [frame.index for frame in sink.frames] == list(range(10))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process, it does not ask")
def test_a_recording_is_finished_when_a_signal_says_so(ring, tmp_path):
    with child("bridge.adapters.sink_main", f"recorder:{tmp_path / 'show.mp4'}", "--ring", ring.name) as sink:
        sink.hear()
        play(ring, 20)
        sink.process.send_signal(signal.SIGTERM)

        assert sink.process.wait(TIMEOUT) == 0
    assert read_film(tmp_path / "show.mp4")


def test_a_full_disk_is_reported_and_no_half_file_has_the_final_name(ring, tmp_path):
    resource = pytest.importorskip("resource")

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    target = tmp_path / "show.mp4"
    with child("bridge.adapters.sink_main", f"recorder:{target}", "--ring", ring.name, preexec_fn=small_disk) as sink:
        sink.hear()
        play(ring, 60, picture=noise)
        line = sink.hear()

        assert "show.mp4 cannot be written any further" in line["error"]
        assert "make room" in line["hint"]
        assert sink.process.wait(TIMEOUT) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4.part"]


def test_what_was_recorded_before_a_kill_can_be_played(ring, tmp_path):
    with child(
        "bridge.adapters.sink_main", f"recorder:{tmp_path / 'show.mp4'}", "--ring", ring.name, "--fps", 20
    ) as sink:
        sink.hear()
        for first in range(0, 6000, 60):
            play(ring, 60, first=first)
            if recorded(tmp_path / "show.mp4.part") >= 60:
                break
        sink.process.kill()
        sink.process.wait(TIMEOUT)

    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4.part"]
    assert len(read_film(tmp_path / "show.mp4.part")) >= 60


def test_another_program_can_read_what_goes_to_a_ring(ring):
    theirs = ring_name()
    with child("bridge.adapters.sink_main", f"ring:{theirs}", "--ring", ring.name) as sink:
        sink.hear()
        with RingReader(theirs) as reader:
            play(ring, 5)
            frame = reader.next(TIMEOUT)
        assert np.array_equal(frame.pixels, numbered(frame.index))
        assert sink.end() == 0


@pytest.mark.parametrize("uri", ["sprout:x", "recorder:", "recorder:/no/such/folder/show.mp4"])
def test_what_does_not_open_is_said_in_one_line_and_not_tried_again(ring, uri):
    with child("bridge.adapters.sink_main", uri, "--ring", ring.name) as sink:
        assert set(sink.hear()) == {"error", "hint"}
        assert sink.process.wait(TIMEOUT) == 2
