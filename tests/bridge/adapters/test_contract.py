"""Every registered source and sink keeps the promises in bridge/adapters/base.py."""

import os
import socket
import threading
import time
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
from av.error import FFmpegError

from bridge.adapters import base
from bridge.adapters.base import SINKS, SOURCES, AdapterUnavailable, load_sink, load_source
from bridge.adapters.nut import NutWriter
from bridge.adapters.obs import to_bgra
from bridge.ring import RingWriter
from engine.frame import Frame
from tests.bridge.adapters.filmed_camera import FilmedCamera, plug_in
from tests.bridge.films import make_film, numbered
from tests.bridge.running import free_port


def frame(width=64, height=48, index=0):
    return Frame(np.full((height, width, 3), 40 * index, np.uint8), time=time.monotonic(), index=index)


@pytest.fixture
def another_program():
    """Somebody else's ring, with a picture in it every 5 ms, of another size than anybody asks for."""
    with RingWriter.create(f"lc-ta-{os.getpid()}-theirs", 160, 96) as ring:
        over = threading.Event()

        def play():
            index = 0
            while not over.wait(0.005):
                ring.write(Frame(numbered(index), time.monotonic(), index))
                index += 1

        player = threading.Thread(target=play)
        player.start()
        yield ring.name
        over.set()
        player.join()


@pytest.fixture
def custom_output():
    """What OBS's Custom Output does: it connects, as often as it takes, and sends its program."""
    port, over = free_port(), threading.Event()

    def send():
        while not over.wait(0.01):
            with suppress(OSError, FFmpegError), socket.create_connection(("127.0.0.1", port)) as there:
                writer = NutWriter(there, 160, 96, fps=30)
                for index in count():
                    writer.write(to_bgra(numbered(index % 256)))
                    if over.wait(0.01):
                        break

    sender = threading.Thread(target=send)
    sender.start()
    yield port
    over.set()
    sender.join()


@pytest.fixture(params=sorted(SOURCES))
def source(request, tmp_path, monkeypatch):
    uri = request.param
    if uri == "camera":
        uri = "camera:0"
        plug_in(monkeypatch, {"/dev/video0": FilmedCamera(make_film(tmp_path / "seen.mp4"))})
    if uri == "file":
        uri = str(make_film(tmp_path / "film.mp4"))
    if uri == "obs":
        uri = f"obs:{request.getfixturevalue('custom_output')}"
    if uri in ("ring", "obs-filter"):
        uri = f"{uri}:{request.getfixturevalue('another_program')}"
    source = load_source(uri)
    yield source
    source.close()


def read(source, count):
    frames, deadline = [], time.monotonic() + 5
    while len(frames) < count and time.monotonic() < deadline:
        if (got := source.read(timeout=0.2)) is not None:
            frames.append(got)
    return frames


def test_a_source_gives_frames_of_the_size_it_was_opened_with(source):
    source.open(64, 48)

    frames = read(source, 4)

    assert [got.size for got in frames] == [(64, 48)] * 4
    assert all(got.pixels.std() > 10 for got in frames)


def test_a_source_counts_up_and_its_time_does_not_run_backwards(source):
    source.open(64, 48)

    frames = read(source, 4)

    assert np.all(np.diff([got.index for got in frames]) > 0)
    assert np.all(np.diff([got.time for got in frames]) > 0)
    assert abs(frames[0].time - time.monotonic()) < 2.0


def test_a_source_says_its_name_and_its_rate(source):
    source.open(64, 48)

    assert source.name
    assert 0 <= source.fps <= 240


def test_a_source_closes_twice_and_before_it_is_open(source):
    source.close()
    source.open(64, 48)
    source.close()
    source.close()


def test_a_source_opens_again(source):
    source.open(64, 48)
    source.close()
    source.open(80, 48)

    assert read(source, 1)[0].size == (80, 48)


@pytest.fixture(params=sorted(SINKS))
def sink(request, tmp_path):
    where = {"recorder": tmp_path / "show.mp4", "ring": f"lc-ta-{os.getpid()}-ours", "obs": free_port()}
    sink = load_sink(f"{request.param}:{where.get(request.param, '')}")
    yield sink
    sink.close()


def test_a_sink_takes_frames_of_the_size_it_was_opened_with(sink):
    sink.open(64, 48, fps=30)

    for index in range(3):
        sink.send(frame(index=index))


def test_a_sink_refuses_another_size(sink):
    sink.open(64, 48, fps=30)

    with pytest.raises(ValueError, match="80"):
        sink.send(frame(width=80))


def test_a_sink_leaves_the_pixels_to_the_caller(sink):
    sink.open(64, 48, fps=30)
    sent = frame(index=1)

    sink.send(sent)
    before = sent.pixels.copy()
    sent.pixels[:] = 0
    sink.close()

    assert before.any()
    assert not any(kept.pixels[0, 0, 0] == 0 for kept in getattr(sink, "frames", ()))


def test_a_sink_closes_twice_and_before_it_is_open(sink):
    sink.close()
    sink.open(64, 48, fps=30)
    sink.close()
    sink.close()


def test_a_sink_opens_again(sink):
    sink.open(64, 48, fps=30)
    sink.close()
    sink.open(80, 48, fps=30)
    sink.send(frame(width=80))


def test_an_unknown_output_names_the_known_ones():
    with pytest.raises(AdapterUnavailable) as error:
        load_sink("sprout:x")

    assert "recorder" in error.value.hint


def test_what_is_no_known_input_is_taken_for_a_file_and_the_hint_names_the_others():
    with pytest.raises(AdapterUnavailable, match="sprout:x does not exist") as error:
        load_source("sprout:x").open(64, 48)

    assert "testcard" in error.value.hint


def test_a_missing_driver_breaks_only_its_own_adapter(monkeypatch):
    monkeypatch.setattr(base, "SINKS", {"gone": "bridge.adapters.gone:Gone", **SINKS})

    with pytest.raises(AdapterUnavailable, match="gone needs bridge.adapters.gone"):
        load_sink("gone:")
    load_sink("memory").close()
