"""NDI: pictures from and to other programs and other machines on the network (cyndilib, which brings NDI's runtime).

NDI announces what we send to everyone on the network; its own settings, ndi-config.v1.json, can narrow that. It
compresses, so colours come out a little different. See https://cyndilib.readthedocs.io and https://docs.ndi.video.
"""

from __future__ import annotations

import time
from fractions import Fraction

from cyndilib.audio_frame import AudioSendFrame
from cyndilib.finder import Finder, Source
from cyndilib.receiver import Receiver
from cyndilib.sender import Sender
from cyndilib.video_frame import VideoFrameSync, VideoSendFrame
from cyndilib.wrapper.ndi_recv import RecvBandwidth, RecvColorFormat
from cyndilib.wrapper.ndi_structs import FourCC

from bridge.adapters.base import Device
from bridge.adapters.channel import NAME, Channel, alpha_of, known, opaque
from bridge.errors import AdapterUnavailable
from bridge.media.picture import Picture, cover_pixels
from engine.clock import monotonic
from engine.frame import Frame

PROGRAM = "the other program"
POLL_EVERY = 0.002  # seconds between two looks; NDI's own waiting receiver loses pictures when it shares a process
SEARCH_TIMEOUT = 3.0  # seconds in which a source on this network has been heard of
CONNECTION_TIMEOUT = 3.0  # seconds without a connection after which a source has gone
RGBX = (FourCC.RGBX, FourCC.RGBA)


class NdiSink:
    """ndi:NAME; other programs list it as COMPUTER (NAME)."""

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name or NAME
        self._sender: Sender | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._picture = opaque(width, height)
        video = VideoSendFrame()
        video.set_resolution(width, height)
        video.set_frame_rate(Fraction(fps).limit_denominator(1001))
        video.set_fourcc(FourCC.RGBX)
        # it must not wait for a clock: the pictures come when they are due
        self._sender = Sender(self.name, clock_video=False, clock_audio=False)
        self._sender.set_video_frame(video)
        self._sender.set_audio_frame(AudioSendFrame())  # never sent; but without one a refusal crashes
        try:
            self._sender.open()
        except MemoryError as error:  # all that cyndilib says; NDI refuses nothing but a name
            self._sender = None
            why = f"there is an NDI source named {self._channel.name or NAME} on this computer already"
            raise AdapterUnavailable(why, "end it, or use another ndi:NAME") from error
        self.name = self._sender.name

    def send(self, frame: Frame) -> None:
        assert self._sender is not None, "open comes first"
        self._channel.pack(frame.pixels, self._picture)
        if not self._sender.write_video_async(self._picture.reshape(-1)):  # which copies
            raise AdapterUnavailable(f"NDI sender {self.name} was lost", "restart this output")

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None


class NdiSource:
    """ndi:NAME or ndi:COMPUTER (NAME), or without a name the first source that is found."""

    fps = 0.0  # known only once pictures come

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name
        self._receiver: Receiver | None = None
        self._index = 0

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        self._stamp = 0.0, 0.0
        self._last: Picture | None = None
        self._finder = Finder()  # owns the memory that names the source
        with self._finder:  # left at once: its thread waits for 5 s, and is not safe to end just when those are over
            found, names = _search(self._finder, self._channel.name), self._finder.get_source_names()
            if found is not None:
                self._connect(found)
        if found is None:
            what = f"no NDI source named {self._channel.name}" if self._channel.name else "no NDI source"
            raise AdapterUnavailable(f"there is {what}", known(names, PROGRAM))

    def _connect(self, found: Source) -> None:
        self.name = found.name
        self._video = VideoFrameSync()
        self._receiver = Receiver(color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest)
        self._receiver.frame_sync.set_video_frame(self._video)
        self._receiver.set_source(found)
        self._heard = monotonic()

    def read(self, timeout: float) -> Frame | None:
        deadline = monotonic() + timeout
        while not self._capture():
            if monotonic() >= deadline:
                self._check_connected()
                return None
            time.sleep(POLL_EVERY)
        self._heard = monotonic()
        self._last = self._copy()
        self._index += 1
        return Frame(cover_pixels(self._channel.unpack(self._last), *self._size), self._heard, self._index - 1)

    def alpha(self) -> tuple[int, int] | None:
        return None if self._last is None else alpha_of(self._last)

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.disconnect()
            self._receiver = None

    def _capture(self) -> bool:
        """Whether NDI has a picture that was not read before; it hands out the last one again and again."""
        assert self._receiver is not None, "open comes first"
        self._receiver.frame_sync.capture_video()
        if not self._video.xres or self._video.get_fourcc() not in RGBX:
            return False
        stamp = self._video.get_timestamp_posix(), self._video.get_timecode_posix()
        new, self._stamp = stamp != self._stamp, stamp
        return new

    def _copy(self) -> Picture:
        height, width, stride = self._video.yres, self._video.xres, self._video.get_line_stride()
        rows: Picture = self._video.get_array().reshape(height, stride)
        return rows[:, : width * 4].reshape(height, width, 4)

    def _check_connected(self) -> None:
        assert self._receiver is not None
        if not self._receiver.is_connected() and monotonic() - self._heard > CONNECTION_TIMEOUT:
            raise AdapterUnavailable(f"NDI source {self.name} has gone", f"start it again in {PROGRAM}")


def list_devices() -> list[Device]:
    """The sources on this network that are heard of within SEARCH_TIMEOUT seconds."""
    with Finder() as finder:
        time.sleep(SEARCH_TIMEOUT)
        return [Device(f"ndi:{name}", "on the network") for name in finder.get_source_names()]


def _search(finder: Finder, name: str) -> Source | None:
    """The source that is called so, with its computer's name or without; any if there is no name."""
    deadline = monotonic() + SEARCH_TIMEOUT
    while True:
        for source in map(finder.get_source, finder.get_source_names()):
            if name in ("", source.name, source.stream_name):
                return source
        if monotonic() >= deadline:
            return None
        time.sleep(0.02)
