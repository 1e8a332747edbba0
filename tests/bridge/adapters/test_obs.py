"""The ways into and out of a stock OBS, with FFmpeg itself in its place. tests/obs does it with the real one."""

import io
import socket
import time
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from bridge.adapters.obs import MAX_CALLERS, MAX_READERS, ObsSink, ObsSource, to_bgra
from bridge.adapters.testcard import draw_card
from bridge.errors import AdapterUnavailable
from bridge.obs.nut import NutWriter
from bridge.obs.setup import program_settings
from bridge.obs.wire import claimed_rate
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.films import numbered
from tests.bridge.running import free_port, until

READ = {"fflags": "nobuffer"}


def frame(index=0):
    return Frame(numbered(index), monotonic(), index)


@pytest.fixture
def sink():
    sink = ObsSink(str(free_port()))
    yield sink
    sink.close()


@pytest.fixture
def source():
    source = ObsSource(str(free_port()))
    yield source
    source.close()


def port(adapter):
    return int(adapter.name.rpartition(" ")[2])


def connect(adapter):
    return socket.create_connection(("127.0.0.1", port(adapter)), timeout=10)


def sending(sink, pixels):
    """Send until whoever uses this has seen enough."""
    while True:
        sink.send(Frame(pixels, monotonic(), 0))
        yield time.sleep(0.01)


def first_picture(sink, pixels):
    """What FFmpeg, as OBS has it, makes of the stream while pictures are sent."""
    from threading import Thread

    seen = []

    def read():
        with av.open(f"tcp://127.0.0.1:{port(sink)}", format="nut", options=READ) as stream:
            video = stream.streams.video[0]
            seen.append((next(stream.decode(video)).to_ndarray(format="bgra"), video.codec_context.pix_fmt))

    reader = Thread(target=read)
    reader.start()
    for _ in sending(sink, pixels):
        if not reader.is_alive():
            break
    reader.join()
    return seen[0]


@pytest.mark.parametrize("size", [(160, 96), (101, 67), (64, 3)])
def test_ffmpeg_reads_what_we_send_bit_for_bit_at_any_size(sink, size):
    card = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sink.open(*size, fps=30)

    picture, form = first_picture(sink, card)

    assert form == "bgra"
    assert np.array_equal(picture, to_bgra(card))
    assert (picture[..., 3] == 255).all()


def test_the_stream_claims_far_more_pictures_a_second_than_it_has():
    assert claimed_rate(20) == 120
    assert claimed_rate(60) >= 2 * 60


def test_sending_never_waits_for_a_reader_that_has_stopped_reading(sink):
    sink.open(640, 480, fps=30)
    with connect(sink):
        began = monotonic()
        for index in range(60):  # 70 MiB, far more than the system keeps for anybody
            sink.send(Frame(np.full((480, 640, 3), index, np.uint8), monotonic(), index))

        assert monotonic() - began < 10
        first_picture(sink, np.zeros((480, 640, 3), np.uint8))  # another one is served as ever


def test_readers_who_never_read_do_not_keep_another_out(sink):
    sink.open(640, 480, fps=30)
    silent = [connect(sink) for _ in range(MAX_READERS)]
    for index in range(60):  # more than the system keeps for all of them
        sink.send(Frame(np.full((480, 640, 3), index, np.uint8), monotonic(), index))

    first_picture(sink, np.zeros((480, 640, 3), np.uint8))
    for guest in silent:
        guest.close()


def test_a_reader_that_comes_late_sees_the_last_picture_at_once(sink):
    sink.open(160, 96, fps=30)
    sink.send(frame(7))

    with connect(sink) as there:
        assert there.recv(4) == b"nut/"


def test_readers_may_come_and_go(sink):
    sink.open(160, 96, fps=30)
    for _ in range(5):
        connect(sink).close()
        sink.send(frame(1))

    first_picture(sink, numbered(3))


def test_closing_does_not_wait_for_anybody(sink):
    sink.open(640, 480, fps=30)
    with connect(sink):
        for index in range(8):
            sink.send(Frame(np.full((480, 640, 3), index, np.uint8), monotonic(), index))
        began = monotonic()
        sink.close()

    assert monotonic() - began < 5


@pytest.mark.parametrize("make", [ObsSink, ObsSource])
def test_a_taken_port_is_one_sentence_with_a_next_step(make):
    with socket.create_server(("127.0.0.1", 0)) as other:
        adapter = make(str(other.getsockname()[1]))
        with pytest.raises(AdapterUnavailable, match="cannot be opened") as error:
            adapter.open(64, 48, 30)

    assert "(" not in error.value.sentence
    assert "latentcast obs setup" in error.value.hint


@pytest.mark.parametrize("where", ["x", "0", "70000", "-1"])
def test_what_is_no_port_is_refused_at_once(where):
    with pytest.raises(AdapterUnavailable, match="no TCP port"):
        ObsSink(where)


def test_what_comes_in_keeps_its_colours_and_takes_our_size(source):
    source.open(160, 96)
    card = draw_card(320, 192)
    with connect(source) as there:
        writer = NutWriter(there, 320, 192, fps=30)
        writer.write(to_bgra(card))
        writer.write(to_bgra(card))

        got = until(lambda: source.read(0.1))

    assert got.size == (160, 96)
    assert np.allclose(got.pixels[10, 10], card[20, 20], atol=3)


def test_two_pictures_that_come_at_once_are_both_seen(source):
    source.open(160, 96)
    with connect(source) as there:
        writer = NutWriter(there, 160, 96, fps=30)
        for grey in (0, 50, 150):  # FFmpeg keeps the first one for itself, to learn what comes
            writer.write(to_bgra(np.full((96, 160, 3), grey, np.uint8)))
        until(lambda: len(source._waiting) == 2)
        greys = [round(source.read(0.1).pixels.mean()) for _ in range(2)]

    assert np.allclose(greys, (50, 150), atol=2)


def test_the_encoder_that_obs_sends_with_keeps_no_picture_back_on_any_machine():
    name = program_settings(1)["AdvOut/FFVEncoder"]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 36, "yuv420p", Fraction(1, 30)
    encoder.thread_count, encoder.thread_type = 16, "AUTO"  # as OBS opens it on one with 16 processors

    assert encoder.encode(av.VideoFrame(64, 36, "yuv420p"))


def test_the_one_who_connected_last_is_seen(source):
    source.open(160, 96)
    with connect(source) as first, connect(source) as second:
        NutWriter(first, 160, 96, fps=30)
        writer = NutWriter(second, 160, 96, fps=30)
        for _ in range(3):
            writer.write(to_bgra(np.full((96, 160, 3), 90, np.uint8)))
        got = until(lambda: source.read(0.1))

    assert np.allclose(got.pixels, 90, atol=2)


def test_whoever_else_knocks_does_not_disturb_the_one_who_is_seen(source):
    source.open(160, 96)
    with connect(source) as there:
        writer = NutWriter(there, 160, 96, fps=30)

        def seen(grey):
            writer.write(to_bgra(np.full((96, 160, 3), grey, np.uint8)))
            return (got := source.read(0.1)) and np.allclose(got.pixels, grey, atol=2)

        until(lambda: seen(60))
        with connect(source) as stray:  # a web page that tries ports
            stray.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200)
            stray.shutdown(socket.SHUT_WR)
            while stray.recv(64):
                pass
        until(lambda: seen(120))


def test_guests_who_say_nothing_are_few_and_keep_nobody_out(source):
    source.open(160, 96)
    silent = [connect(source) for _ in range(3 * MAX_CALLERS)]
    with connect(source) as there:
        writer = NutWriter(there, 160, 96, fps=30)
        for _ in range(3):
            writer.write(to_bgra(np.full((96, 160, 3), 90, np.uint8)))
        until(lambda: source.read(0.1))
    gone = until(lambda: (n := sum(hung_up(guest) for guest in silent)) >= 2 * MAX_CALLERS and n)
    for guest in silent:
        guest.close()

    assert gone < 3 * MAX_CALLERS, "those who are few enough may take their time"


def hung_up(guest):
    guest.settimeout(0.01)
    try:
        return not guest.recv(1)
    except TimeoutError:
        return False


def test_after_one_has_hung_up_another_is_let_in(source):
    source.open(160, 96)
    for grey in (50, 150):
        with connect(source) as there:
            writer = NutWriter(there, 160, 96, fps=30)
            for _ in range(3):
                writer.write(to_bgra(np.full((96, 160, 3), grey, np.uint8)))
            until(lambda grey=grey: (got := source.read(0.1)) and np.allclose(got.pixels, grey, atol=2))


def test_what_is_no_stream_of_pictures_is_said_with_a_next_step(source):
    source.open(160, 96)
    with connect(source) as there:
        there.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200)
        there.shutdown(socket.SHUT_WR)

        with pytest.raises(AdapterUnavailable, match="no stream of pictures") as error:
            until(lambda: source.read(0.1))

    assert "Custom Output" in error.value.hint
    assert program_settings(1)["AdvOut/FFVEncoder"] in error.value.hint


def stream(codec, form, levels=ColorRange.MPEG, picture=None, count=4):
    """A NUT stream of `count` times the same picture, as OBS with other settings than ours sends it."""
    data = io.BytesIO()
    if picture is None:
        card = av.VideoFrame.from_ndarray(draw_card(160, 96), "rgb24")
        picture = card.reformat(format=form, dst_colorspace=Colorspace.ITU709, dst_color_range=levels)
    with av.open(data, "w", format="nut", options={"write_index": "0"}) as file:
        video = file.add_stream(codec, rate=30)
        video.width, video.height, video.pix_fmt = 160, 96, form
        video.codec_context.color_range = levels
        for number in range(count):
            picture.pts, picture.time_base = number, Fraction(1, 30)
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    return data.getvalue()


def last_picture(source, data):
    """What the source shows of a stream in the end."""
    seen = []
    with connect(source) as there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        until(lambda: (got := source.read(0.1)) and seen.append(got.pixels) or (seen and got is None))
    return seen[-1]


def refusal(source, data):
    """The sentence and the hint about a stream."""
    with connect(source) as there:
        with suppress(OSError):  # it may have been thrown out already
            there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        with pytest.raises(AdapterUnavailable) as error:
            until(lambda: source.read(0.1))
    return str(error.value), error.value.hint


@pytest.mark.parametrize("levels", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize(
    ("codec", "form"),
    [("yuv4", "yuv420p"), ("rawvideo", "nv12"), ("rawvideo", "yuv444p"), ("rawvideo", "yuv420p10le")],
)
def test_colours_are_right_in_both_ranges_of_obs_which_the_stream_does_not_name(source, codec, form, levels):
    card = draw_card(160, 96)
    source.open(160, 96)

    seen = last_picture(source, stream(codec, form, levels))

    assert np.allclose(seen[50:56, 83:87], card[50:56, 83:87], atol=3), "the grey, where a wrong range shows most"
    for row, column in ((4, 5), (4, -5), (75, 5), (75, -5)):
        assert np.allclose(seen[row, column], card[row, column], atol=4)


def test_limited_range_stays_limited_where_a_sharp_scaling_went_a_little_beyond(source):
    yuv = np.full((144, 160), 128, np.uint8)  # the planes of 4:2:0 as one
    yuv[:96] = 60
    yuv[:40], yuv[40:48] = 16, 13
    source.open(160, 96)

    seen = last_picture(source, stream("rawvideo", "yuv420p", picture=av.VideoFrame.from_ndarray(yuv, "yuv420p")))

    assert np.allclose(seen[80, 80], (60 - 16) * 255 / 219, atol=2)


def test_an_encoder_that_compresses_is_named_with_what_to_set_instead(source):
    source.open(160, 96)

    said, hint = refusal(source, stream("libx264", "yuv420p", count=60))

    assert "compressed with h264" in said
    assert "video encoder yuv4" in hint


def test_ten_bits_that_nut_cannot_name_are_refused_with_what_to_set_instead(source):
    source.open(160, 96)

    said, hint = refusal(source, stream("rawvideo", "p010le"))

    assert "P010" in said
    assert "yuv4" in hint
    assert "NV12" in hint


@pytest.mark.parametrize("share", [0.001, 0.1, 0.9])
def test_a_stream_that_ends_before_its_first_picture_is_said_with_a_next_step(source, share):
    data = stream("yuv4", "yuv420p", count=1)
    source.open(160, 96)

    said, hint = refusal(source, data[: max(30, int(share * len(data)))])

    assert "ended before its first picture" in said
    assert "Start Recording" in hint


def test_who_connects_and_goes_without_a_word_is_no_failure(source):
    source.open(160, 96)
    for _ in range(3):
        connect(source).close()

    assert source.read(0.5) is None


def test_without_anybody_there_is_no_picture_and_no_error(source):
    source.open(160, 96)

    assert source.read(0.05) is None
