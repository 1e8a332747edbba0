"""Films for tests, written by PyAV itself: pictures that can be told apart by their number, with or without sound."""

import struct
from fractions import Fraction

import av
import numpy as np

from bridge.adapters.testcard import draw_card, draw_number


def numbered(index, width=160, height=96):
    """A test card's still parts with `index` in its bars."""
    card = draw_card(width, height)
    draw_number(card, index)
    return card


def make_film(
    path,
    count=12,
    rate=Fraction(25),
    size=(160, 96),
    stamps=None,
    sound=None,
    pictures=None,
    sound_rate=48000,
    shape=None,
):
    """Write `count` numbered pictures; `stamps`: their moments in units of 1/1000 s; `sound`: a codec's name.

    shape: of a pixel, width through height.
    """
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=rate, options={"crf": "8", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        if shape:
            video.codec_context.sample_aspect_ratio = shape
        base = Fraction(1, 1000) if stamps else 1 / rate
        video.time_base = video.codec_context.time_base = base
        audio = film.add_stream(sound, rate=sound_rate, layout="stereo") if sound else None
        for n in range(count):
            picture = av.VideoFrame.from_ndarray(pictures[n] if pictures else numbered(n, *size))
            picture.pts, picture.time_base = stamps[n] if stamps else n, base
            film.mux(video.encode(picture))
        film.mux(video.encode(None))
        if audio:
            _add_sound(film, audio, seconds=count / rate)
    return path


def _add_sound(film, audio, seconds):
    for n in range(int(seconds * audio.rate / 1024)):
        wave = np.sin(np.arange(n * 1024, (n + 1) * 1024) * 0.06) * 9000
        sound = av.AudioFrame.from_ndarray(np.repeat(wave, 2).astype(np.int16)[None], layout="stereo")
        sound.rate, sound.pts = audio.rate, n * 1024
        film.mux(audio.encode(sound))
    film.mux(audio.encode(None))


def make_noisy(path, count=40, size=(320, 192)):
    """A film whose packets are large and out of order, with its index where a cut spares it."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as film:
        video = film.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for n in range(count):
            pixels = numbered(n, *size).astype(int) + noise.integers(-20, 20, (*size[::-1], 3))
            picture = av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8))
            picture.pts, picture.time_base = n, Fraction(1, 25)
            film.mux(video.encode(picture))
        film.mux(video.encode(None))
    return path


def make_slideshow(path, count=3, each=5.0):
    """A GIF whose numbered pictures stand `each` seconds, the last one a hundredth."""
    base, size = Fraction(1, 100), (160, 96)
    with av.open(str(path), "w") as film:
        video = film.add_stream("gif", rate=100)
        video.width, video.height, video.pix_fmt = *size, "rgb8"
        video.time_base = video.codec_context.time_base = base
        for n in range(count):
            picture = av.VideoFrame.from_ndarray(numbered(n, *size)).reformat(format="rgb8")
            picture.pts, picture.time_base = round(n * each / base), base
            film.mux(video.encode(picture))
        film.mux(video.encode(None))
    return path


def make_boxed(path, shape, size=(720, 576)):
    """A film of a bright square, as its pixels are counted, on black; `shape`: width of a pixel through its height."""
    picture = np.zeros((*size[::-1], 3), np.uint8)
    middle = tuple(slice(length // 2 - 50, length // 2 + 50) for length in picture.shape[:2])
    picture[middle] = 255
    return make_film(path, count=2, size=size, pictures=[picture] * 2, shape=shape)


def proportions(pixels):
    """Width of what is bright, through its height."""
    bright = pixels[..., 0] > 127
    return bright.any(axis=0).sum() / bright.any(axis=1).sum()


def make_unreadable(path):
    """A film of one picture, which no decoder can make out."""
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        packet = av.Packet(bytes(100))
        packet.stream, packet.pts, packet.dts = video, 0, 0
        film.mux(packet)
    return path


def make_unknown(path):
    """A film, and sound, of kinds that no decoder knows."""
    data = make_film(path, count=3, sound="aac").read_bytes()
    path.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ").replace(b"A_AAC", b"A_XYZ"))
    return path


def turn_film(path):
    """Tell players, as telephones do, to show the film turned by a quarter clockwise."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def read_film(path):
    """Every picture [H, W, 3] of a film and its moment in seconds."""
    with av.open(str(path)) as film:
        return [
            (picture.to_ndarray(format="rgb24"), float(picture.pts * picture.time_base))
            for picture in film.decode(video=0)
        ]


def sound_packets(path):
    """The sound of a film as it lies in the file."""
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(film.streams.audio[0]) if packet.size]
