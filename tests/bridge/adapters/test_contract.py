"""Every registered source and sink keeps the promises in bridge/adapters/base.py."""

import os
import socket
import threading
from contextlib import nullcontext, suppress
from itertools import count

import numpy as np
import pytest
from av.error import FFmpegError

from bridge.adapters.base import SINKS, SOURCES, load_sink, load_source
from bridge.adapters.obs import to_bgra
from bridge.adapters.testcard import read_number
from bridge.errors import AdapterUnavailable
from bridge.obs.nut import NutWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.adapters.doubles import loopback, spoutgl, syphon
from tests.bridge.adapters.filmed_camera import FilmedCamera, plug_in
from tests.bridge.adapters.others import SENDERS, another_program
from tests.bridge.films import make_film, numbered
from tests.bridge.running import free_port

DOUBLES = {"spout": spoutgl, "syphon": syphon, "virtualcam": loopback}
OURS = f"lc-ta-{os.getpid()}-ours"


def frame(width=64, height=48, index=0):
    return Frame(np.full((height, width, 3), 40 * index, np.uint8), time=monotonic(), index=index)


def of_each(kinds):
    """A test of each kind; `ndi` and `virtualcam` need their libraries, the others nothing or a double."""
    needing = {kind: [pytest.mark.extra(kind)] for kind in ("ndi", "virtualcam")}
    return [pytest.param(kind, marks=needing.get(kind, ())) for kind in kinds]


def prepare(kind, request, monkeypatch):
    """Make a machine on which `kind` runs: the real thing, or a double that stands in for its library alone."""
    if kind == "ndi":
        request.getfixturevalue("ndi_here")
    if kind in DOUBLES:
        DOUBLES[kind].install(monkeypatch)


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


@pytest.fixture(params=of_each(sorted(SOURCES)))
def source(request, tmp_path, monkeypatch):
    uri = request.param
    prepare(uri, request, monkeypatch)
    if uri == "camera":
        uri = "camera:0"
        plug_in(monkeypatch, {"/dev/video0": FilmedCamera(make_film(tmp_path / "seen.mp4"))})
    if uri == "file":
        uri = str(make_film(tmp_path / "film.mp4"))
    if uri == "obs":
        uri = f"obs:{request.getfixturevalue('custom_output')}"
    kind = "ring" if uri == "obs-filter" else uri  # what OBS's filter is to us
    with another_program(kind) if kind in SENDERS else nullcontext() as program:
        source = load_source(program.uri.replace(kind, uri, 1) if program else uri)
        yield source
        source.close()


@pytest.fixture(params=of_each(SENDERS))
def program(request, monkeypatch):
    prepare(request.param, request, monkeypatch)
    with another_program(request.param) as program:
        yield program


@pytest.fixture(params=of_each(SENDERS))
def kind(request, monkeypatch):
    prepare(request.param, request, monkeypatch)
    return request.param


def read(source, count):
    frames, deadline = [], monotonic() + 60
    while len(frames) < count and monotonic() < deadline:
        if (got := source.read(timeout=0.2)) is not None:
            frames.append(got)
    return frames


def test_a_source_gives_frames_of_the_size_it_was_opened_with(source):
    source.open(64, 48)

    frames = read(source, 4)

    assert [got.size for got in frames] == [(64, 48)] * 4
    assert all(got.pixels.std() > 10 for got in frames)


def test_a_source_counts_up_and_its_time_does_not_run_backwards(source):
    began = monotonic()
    source.open(64, 48)

    frames = read(source, 4)

    assert np.all(np.diff([got.index for got in frames]) > 0)
    assert np.all(np.diff([got.time for got in frames]) > 0)
    assert began - 2.0 < frames[0].time < monotonic() + 2.0


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


@pytest.fixture(params=of_each(sorted(SINKS)))
def sink(request, tmp_path, monkeypatch):
    prepare(request.param, request, monkeypatch)
    where = {"recorder": tmp_path / "show.mp4"} | dict.fromkeys(SENDERS, OURS)
    where["obs"] = free_port()
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


def test_a_sink_takes_an_odd_size_or_says_that_it_does_not(sink):
    try:
        sink.open(65, 49, fps=30)
    except AdapterUnavailable as error:
        assert error.hint
        assert "\n" not in str(error) + error.hint
        return
    for index in range(3):
        sink.send(frame(65, 49, index))


def test_a_sink_leaves_the_pixels_to_the_caller(sink):
    sink.open(64, 48, fps=30)
    sent = frame(index=1)
    before = sent.pixels.copy()

    sink.send(sent)
    assert np.array_equal(sent.pixels, before), "nothing is drawn into them"
    sent.pixels[:] = 0
    sink.close()

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


# ---- kinds that know one another by name


def close_to(pixels, wanted):
    """Whether two pictures are the same but for what compression does to them."""
    return np.abs(pixels.astype(int) - wanted).mean() < 6


def test_a_senders_pictures_come_with_their_colours_and_the_right_way_up(program):
    source = load_source(program.uri)
    source.open(160, 96)

    for frame in read(source, 3):
        assert close_to(frame.pixels, numbered(read_number(frame.pixels)))
    source.close()


def test_what_a_sender_shows_is_opaque_and_can_be_asked(program):
    source = load_source(program.uri)
    source.open(160, 96)
    assert source.alpha() is None
    read(source, 2)

    assert source.alpha() == (255, 255)
    source.close()


def test_a_sender_that_falls_silent_is_no_news_and_no_error(program):
    source = load_source(program.uri)
    source.open(160, 96)
    read(source, 2)
    program.silent = True

    deadline = monotonic() + 20
    while source.read(0.2) is not None:  # what was on its way
        assert monotonic() < deadline
    assert [source.read(0.05) for _ in range(10)] == [None] * 10
    program.silent = False
    assert len(read(source, 2)) == 2
    source.close()


def test_a_sender_that_vanishes_is_one_sentence_and_a_next_step_and_is_found_again(program):
    source = load_source(program.uri)
    source.open(160, 96)
    read(source, 2)
    program.end()

    deadline = monotonic() + 20
    with pytest.raises(AdapterUnavailable, match="has gone|has ended") as error:
        while monotonic() < deadline:
            source.read(0.1)
    assert error.value.hint
    source.close()

    with another_program(program.kind, name=program.name):
        again = monotonic() + 20
        while not open_again(source):
            assert monotonic() < again
        assert read(source, 2)
    source.close()


def open_again(source):
    """What bridge.adapters.source_main does once a second."""
    try:
        source.open(160, 96)
        return True
    except AdapterUnavailable:
        source.close()
        return False


@pytest.mark.parametrize("kind", of_each(["spout", "syphon", "ndi"]), indirect=True)
def test_a_sender_may_change_its_size(kind):
    with another_program(kind) as program:
        source = load_source(program.uri)
        source.open(160, 96)
        read(source, 2)
        program.size = 320, 192

        deadline = monotonic() + 20
        while not sharp(source):
            assert monotonic() < deadline
        source.close()


def sharp(source):
    """Whether the next picture is the larger card, made smaller, and nothing else."""
    try:
        frame = source.read(0.2)
    except AdapterUnavailable:  # the program had to stop for it
        source.close()
        return open_again(source) and False
    smaller = numbered(0, 320, 192)[::2, ::2].astype(int)
    return frame is not None and frame.size == (160, 96) and np.abs(frame.pixels[:80] - smaller[:80]).mean() < 12


def test_a_sender_that_is_not_there_is_one_sentence_and_a_next_step(kind):
    with pytest.raises(AdapterUnavailable, match="there is no .* named lc-ta-nobody") as error:
        load_source(f"{kind}:lc-ta-nobody").open(64, 48)

    assert error.value.hint
    assert "\n" not in str(error.value) + error.value.hint


@pytest.mark.parametrize("size", [(160, 96), (66, 50)])
@pytest.mark.parametrize("marks", ["", ",flip", ",swap", ",flip,swap"])
def test_what_our_output_sends_our_input_reads(kind, marks, size):
    if kind == "ring" and marks:
        pytest.skip("a ring has one order of rows and colours")
    sink, source = load_sink(f"{kind}:{OURS}{marks}"), load_source(f"{kind}:{OURS}{marks}")
    sink.open(*size, fps=30)
    shown = send_until_read(sink, source, size)

    assert close_to(shown, numbered(3, *size))
    source.close()
    sink.close()


def send_until_read(sink, source, size, at=None):
    """Send one picture over and over, as a held picture is, until it comes out, of the same size or `at` another."""
    sink.send(Frame(numbered(3, *size), monotonic(), 0))
    deadline, is_open = monotonic() + 20, False
    while monotonic() < deadline:
        is_open = is_open or open_at(source, at or size)
        sink.send(Frame(numbered(3, *size), monotonic(), 3))
        if is_open and (frame := source.read(0.05)) is not None:
            return frame.pixels
    raise AssertionError("no picture came")


def open_at(source, size):
    try:
        source.open(*size)
        return True
    except AdapterUnavailable:
        source.close()
        return False


@pytest.mark.parametrize("size", [(65, 49), (67, 50)])
def test_an_odd_size_is_sent_as_it_is_but_ndi_cuts_the_odd_row_and_column(kind, size):
    sink, source = load_sink(f"{kind}:{OURS}"), load_source(f"{kind}:{OURS}")
    sink.open(*size, fps=30)
    width, height = (side - side % 2 for side in size) if kind == "ndi" else size

    shown = send_until_read(sink, source, size, (width, height))

    assert close_to(shown, numbered(3, *size)[:height, :width])
    source.close()
    sink.close()


def test_a_reader_that_stops_reading_holds_nobody_up(kind):
    sink, source = load_sink(f"{kind}:{OURS}"), load_source(f"{kind}:{OURS}")
    sink.open(640, 360, fps=30)
    card = numbered(3, 640, 360)
    send_until_read(sink, source, (640, 360))

    began = monotonic()
    for index in range(150):
        sink.send(Frame(card, monotonic(), index))

    assert monotonic() - began < 15  # it takes well under a second; a queue that is full would never end
    source.close()
    sink.close()


def test_a_name_that_is_taken_is_refused_in_one_sentence(kind):
    with another_program(kind) as program, pytest.raises(AdapterUnavailable, match="already|belongs to") as error:
        load_sink(program.uri).open(64, 48, fps=30)

    assert "use another" in error.value.hint
