"""Raw pictures over a socket in FFmpeg's NUT, a container that says their size, so that nobody has to agree on one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace

from bridge.errors import BridgeError
from bridge.media.picture import Picture
from bridge.obs.wire import CONTAINER, claimed_rate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

SIDE_MAX = 16384  # pixels; more is nobody's program
CHUNK = 2**20  # bytes read at a time
READ_OPTIONS = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}  # nothing has to be guessed
SIGNATURE = b"nut/multimedia container"  # how every NUT begins
SET_UP = "`latentcast obs setup --program` sets OBS up: Custom Output (FFmpeg), container nut, video encoder yuv4"
LIMITED_RANGE = 12, 239  # of 255; limited range is 16 to 235, and what was scaled or dithered goes a little beyond
OUTSIDE_SHARE = 0.001  # share of brightnesses


class NotNut(BridgeError):
    """What came is no stream of pictures that can be shown; the sentence lacks its subject."""


class NutWriter:
    """Writes BGRA pictures of one size to a socket. fps: their true rate; the stream claims a higher one."""

    def __init__(self, client: socket.socket, width: int, height: int, fps: float) -> None:
        self._tick = Fraction(1, claimed_rate(fps))
        room = width * height * 4 + 65536  # a picture is one call of `sendall`
        options = {"flush_packets": "1", "write_index": "0"}
        self._file = av.open(_SocketWriter(client), "w", format=CONTAINER, options=options, buffer_size=room)
        self._stream = self._file.add_stream("rawvideo", rate=claimed_rate(fps))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "bgra"
        self._stream.time_base = self._tick
        self._number = 0

    def write(self, picture: Picture) -> None:
        """Send uint8 BGRA [H, W, 4]; returns when the system has taken it all. Raises OSError, FFmpegError."""
        packet = av.Packet(cast(bytes, picture))  # which takes any buffer, and copies nothing
        packet.stream, packet.time_base, packet.is_keyframe = self._stream, self._tick, True
        packet.pts = packet.dts = self._number
        self._number += 1
        self._file.mux(packet)


def read_nut(client: socket.socket) -> Iterator[av.VideoFrame]:
    """The pictures of a stream as they come; none of a client who says nothing.

    Raises NotNut for what is no such stream, and FFmpegError or OSError where one breaks off.
    """
    reader, seen = _SocketReader(client), False
    try:
        for picture in _pictures(reader):
            seen = True
            yield picture
    except (FFmpegError, OSError):
        if seen:
            raise
    if not seen and reader.head:
        if reader.head.startswith(SIGNATURE):
            raise NotNut("ended before its first picture", f"press Start Recording again; {SET_UP}")
        raise NotNut("is no stream of pictures in NUT", SET_UP)


def _pictures(reader: _SocketReader) -> Iterator[av.VideoFrame]:
    with av.open(reader, "r", format=CONTAINER, options=READ_OPTIONS, buffer_size=CHUNK) as file:
        video = _video(file)
        levels = Levels()
        for packet in file.demux(video):
            if packet.size:
                _check_size(packet, video.codec_context)
            for picture in packet.decode():
                picture.colorspace = Colorspace.ITU709  # OBS's own; NUT does not say
                levels.mark(picture)
                yield picture


def _video(file: InputContainer) -> VideoStream:
    """The stream of pictures, if it is one that can be shown. Raises NotNut."""
    if not file.streams.video:
        raise NotNut("has no picture in it", SET_UP)
    video = file.streams.video[0]
    if not (0 < video.width <= SIDE_MAX and 0 < video.height <= SIDE_MAX):
        raise NotNut(f"says that its pictures are {video.width}x{video.height}", SET_UP)
    codec = video.codec_context.codec
    if not codec.intra_only:  # and a stream is joined half-way, and must not be late
        raise NotNut(f"is compressed with {codec.name}, whose pictures need each other", SET_UP)
    return video


def _check_size(packet: av.Packet[VideoStream], coded: VideoCodecContext) -> None:
    """Raise NotNut for raw pictures that are not what they are called: FFmpeg says RGB of what NUT has no name for."""
    form = coded.format
    if coded.codec.name != "rawvideo" or form is None:
        return
    if packet.size * 8 >= coded.width * coded.height * form.padded_bits_per_pixel * 5 // 4:
        raise NotNut(
            "is in a format that NUT has no name for, such as P010",
            "in OBS, set the video encoder to yuv4, or Settings, Advanced, Color Format to NV12",
        )


class Levels:
    """Finds out whether a stream's YUV uses all levels, which NUT does not say: black is 0 then, and not 16."""

    def __init__(self) -> None:
        self._full = False

    def mark(self, picture: av.VideoFrame) -> None:
        """Say so in a picture that does not itself. Once a stream has shown it, it stays."""
        form = picture.format
        if form.is_rgb or not form.is_planar or picture.color_range != ColorRange.UNSPECIFIED:
            return
        self._full = self._full or _outside_share(picture, form.components[0].bits) > OUTSIDE_SHARE
        if self._full:
            picture.color_range = ColorRange.JPEG


def _outside_share(picture: av.VideoFrame, bits: int) -> float:
    """The share of brightnesses outside of what limited range has, in every fourth row."""
    plane, kind = picture.planes[0], np.dtype(np.uint8 if bits == 8 else np.uint16)
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1)[::4, : plane.width]  # type: ignore[call-overload]
    low, high = (level << (bits - 8) for level in LIMITED_RANGE)
    return float(np.mean((rows < low) | (rows > high)))


class _SocketWriter:
    def __init__(self, client: socket.socket) -> None:
        self._client, self.name = client, "socket"

    def write(self, data: bytes) -> int:
        self._client.sendall(data)
        return len(data)


class _SocketReader:
    """head: the first bytes that came."""

    def __init__(self, client: socket.socket) -> None:
        self._client, self.name = client, "socket"
        self.head = b""

    def read(self, size: int) -> bytes:
        data = self._client.recv(size)
        if len(self.head) < len(SIGNATURE):
            self.head += data[: len(SIGNATURE)]
        return data
