"""Raw pictures over a socket in FFmpeg's NUT, a container that says their size, so that nobody has to agree on one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.error import FFmpegError
from av.video.reformatter import Colorspace

from bridge.errors import BridgeError
from bridge.obs.wire import CONTAINER, claimed_rate
from bridge.picture import Picture

SIDE_MAX = 16384  # pixels; more is nobody's program
CHUNK = 2**20  # bytes read at a time
READ_OPTIONS = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}  # nothing has to be guessed


class NotNut(BridgeError):
    """A stream that is no NUT, or has no picture in it."""


class NutWriter:
    """Writes BGRA pictures of one size to a socket. fps: their true rate; the stream claims a higher one."""

    def __init__(self, guest: socket.socket, width: int, height: int, fps: float) -> None:
        self._tick = Fraction(1, claimed_rate(fps))
        room = width * height * 4 + 65536  # a picture is one call of `sendall`
        options = {"flush_packets": "1", "write_index": "0"}
        self._file = av.open(_Outward(guest), "w", format=CONTAINER, options=options, buffer_size=room)
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


def read_nut(guest: socket.socket) -> Iterator[av.VideoFrame]:
    """The pictures of a stream as they come. Raises NotNut; FFmpegError or OSError when it breaks off."""
    try:
        file = av.open(_Inward(guest), "r", format=CONTAINER, options=READ_OPTIONS, buffer_size=CHUNK)
    except FFmpegError as error:
        raise NotNut("is no stream of pictures in NUT") from error
    with file:
        if not file.streams.video:
            raise NotNut("has no picture in it")
        video = file.streams.video[0]
        if not (0 < video.width <= SIDE_MAX and 0 < video.height <= SIDE_MAX):
            raise NotNut(f"says that its pictures are {video.width}x{video.height}")
        for picture in file.decode(video=0):
            picture.colorspace = Colorspace.ITU709  # OBS's own; NUT does not say
            yield picture


class _Outward:
    def __init__(self, guest: socket.socket) -> None:
        self._guest, self.name = guest, "socket"

    def write(self, data: bytes) -> int:
        self._guest.sendall(data)
        return len(data)


class _Inward:
    def __init__(self, guest: socket.socket) -> None:
        self._guest, self.name = guest, "socket"

    def read(self, size: int) -> bytes:
        return self._guest.recv(size)
