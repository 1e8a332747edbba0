"""Cameras, through FFmpeg's devices: Video4Linux, AVFoundation, DirectShow."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from threading import Condition, Thread
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from bridge.adapters import camera_names
from bridge.adapters.base import Device
from bridge.errors import AdapterUnavailable
from bridge.media.movie import decode, pixel_shape
from bridge.media.picture import cover
from engine.clock import monotonic
from engine.frame import Frame

if TYPE_CHECKING:
    from av.container import InputContainer

FRAME_TIMEOUT = 5.0  # seconds; a camera that sent nothing for so long is gone
PROBED = 4  # cameras that are tried where no number is given
SMALL, LARGE = "640x480", "1280x720"  # what nearly every camera has
_MISSING = "is not there", "plug it in, or choose another input, such as --in clip"
_REASONS = {
    errno.ENOENT: _MISSING,
    errno.ENODEV: _MISSING,
    errno.ENXIO: _MISSING,
    errno.EBUSY: ("is in use by another program", "close that program"),
    errno.EACCES: ("may not be opened", "allow it in the system's privacy settings; on Linux, join the group video"),
    errno.EPERM: ("may not be opened", "allow it in the system's privacy settings"),
}


class Camera:
    """camera:N, or the first that opens for no N. A thread takes pictures as they come; only the newest ever waits."""

    def __init__(self, where: str = "") -> None:
        if where and not where.isdecimal():
            raise AdapterUnavailable(f"{where!r:.80} is no number of a camera", "for example camera:0")
        self._numbers = (int(where),) if where else range(PROBED)
        self.name = f"camera:{where}"
        self.fps = 0.0
        self._news = Condition()
        self._newest: tuple[av.VideoFrame, float, int] | None = None
        self._failure: Exception | None = None
        self._thread: Thread | None = None

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        self._device = self._open_first(width, fps)
        self.fps = float(self._device.streams.video[0].average_rate or fps or 30)
        self._pixel_shape = pixel_shape(self._device.streams.video[0])
        self._closing = False
        self._newest = self._failure = None  # of the time before it was lost
        self._heard = monotonic()
        self._thread = Thread(target=self._take, name=self.name, daemon=True)
        self._thread.start()

    def read(self, timeout: float) -> Frame | None:
        with self._news:
            self._news.wait_for(lambda: self._newest or self._failure, timeout)
            newest, self._newest = self._newest, None
        if newest is None:
            self._check_alive()
            return None
        picture, moment, index = newest
        return Frame(cover(picture, *self._size, self._pixel_shape), moment, index)

    def close(self) -> None:
        if self._thread is None:
            return
        self._closing = True
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():  # else the driver hangs, and closing would too: the process takes it along
            self._device.close()
        self._thread = None

    def _open_first(self, width: int, fps: float) -> InputContainer:
        failures = []
        for number in self._numbers:
            try:
                device = _open_device(number, width, fps)
                self.name = f"camera:{number}"
                return device
            except AdapterUnavailable as error:
                failures.append(error)
        raise failures[0]

    def _take(self) -> None:
        try:
            for index, picture in enumerate(self._pictures()):
                self._heard = monotonic()
                with self._news:
                    self._newest = picture, self._heard, index
                    self._news.notify()
                if self._closing:
                    return
            failure: Exception = EOFError("it sends no more")
        except (FFmpegError, OSError) as error:
            failure = error
        with self._news:
            self._failure = failure
            self._news.notify()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        for packet in self._device.demux(video=0):
            if packet.size:  # a damaged picture comes as an empty packet, which no decoder takes
                yield from decode(packet)

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise AdapterUnavailable(f"{self.name} was lost", "plug it in again") from self._failure
        if monotonic() - self._heard > FRAME_TIMEOUT:
            raise AdapterUnavailable(f"{self.name} sent no picture for {FRAME_TIMEOUT:.0f} seconds", "plug it in again")


def list_devices() -> list[Device]:
    """The cameras of this machine, whether or not somebody uses them."""
    return [Device(f"camera:{number}", name) for number, name in camera_names.cameras()]


def _open_device(number: int, width: int, fps: float) -> InputContainer:
    """Open camera `number` in a mode near what is wanted, else in any. Raises AdapterUnavailable."""
    form, name = _address(number)
    failure: Exception | None = None
    # a loopback agrees to any size and then sends its own, which nobody can decode: it is taken as it is
    for options in [{}] if camera_names.is_loopback(name) else _modes(width, fps):
        try:
            return av.open(name, format=form, options=options)
        except (FFmpegError, OSError) as error:
            failure = error
            if error.errno in _REASONS:  # which no other mode would cure
                break
    why, hint = _REASONS.get(getattr(failure, "errno", None) or 0, ("cannot be opened", "try it in another program"))
    raise AdapterUnavailable(f"camera:{number} {why}", hint) from failure


def _modes(width: int, fps: float) -> Iterator[dict[str, str]]:
    """What to ask a camera for, most wanted first; macOS and Windows refuse what a camera does not have exactly."""
    yield {"video_size": SMALL if width <= 640 else LARGE, "framerate": f"{fps or 30:g}"}
    yield {"framerate": "30"}
    yield {}


def _address(number: int) -> tuple[str, str]:
    """How FFmpeg calls camera `number` on this system: format and name."""
    if sys.platform == "darwin":
        return "avfoundation", f"{number}:none"
    if sys.platform == "win32":
        return "dshow", f"video={_windows_name(number)}"
    return "v4l2", f"/dev/video{number}"


def _windows_name(number: int) -> str:
    devices = [device for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if number >= len(devices):
        raise AdapterUnavailable(f"camera:{number} {_MISSING[0]}", _MISSING[1])
    return str(devices[number].description)
