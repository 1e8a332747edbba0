"""A camera that calls and browsers can choose, showing our pictures (pyvirtualcam, which is GPL-2).

Programs that use a camera give it up, or freeze, when its pictures stop or change size. So ours has one size and one
rate, and a thread with a clock of its own that sends whatever is newest; after a while without news that is a slate,
not a face.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, replace
from threading import Event, Thread
from typing import Any

import pyvirtualcam

from bridge.adapters import camera_names
from bridge.adapters.base import Device
from bridge.adapters.refusals import NONE, TAKEN, refusal
from bridge.errors import AdapterUnavailable
from bridge.media.picture import Picture, fit_pixels
from bridge.media.slate import slate
from engine.clock import monotonic
from engine.frame import Frame

WIDTH, HEIGHT, FPS = 1280, 720, 30.0  # what every program takes
MAX_SIDE = 3840  # pixels to a side
OPEN_TIMEOUT = 30.0  # seconds; a driver may be slow, and the caller has a timeout of its own
SLATE_AFTER = 3.0  # seconds without a new picture after which the slate is shown
_FORM = re.compile(r"(?:(\d+)x(\d+))?(?:@(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """[WIDTHxHEIGHT][@RATE][,DEVICE][,slate=SECONDS]: what follows the colon of virtualcam:..., in any order.

    device: /dev/videoN, "OBS Virtual Camera" or "Unity Video Capture"; None for the first that can be had.
    slate:  seconds without a new picture after which the slate is shown.
    """

    width: int = WIDTH
    height: int = HEIGHT
    fps: float = FPS
    device: str | None = None
    slate: float = SLATE_AFTER

    @classmethod
    def read(cls, where: str) -> CameraOptions:
        """Take `where` apart. Raises AdapterUnavailable."""
        options = cls()
        for part in filter(None, map(str.strip, where.split(","))):
            options = replace(options, **_read_part(part, where))
        fits = all(16 <= side <= MAX_SIDE and side % 2 == 0 for side in (options.width, options.height))
        if not (fits and 1 <= options.fps <= 120):
            raise _unclear(where, "a camera has an even width and height up to 3840, and 1 to 120 pictures a second")
        return options


def _read_part(part: str, where: str) -> dict[str, Any]:
    if form := _FORM.fullmatch(part):
        width, height, fps = form.groups()
        size = {"width": int(width), "height": int(height)} if width else {}
        return size | ({"fps": float(fps)} if fps else {})
    name, equals, value = part.partition("=")
    if not equals:
        return {"device": part}
    try:
        if name != "slate" or not 0 < float(value) < float("inf"):
            raise ValueError
        return {"slate": float(value)}
    except ValueError as error:
        raise _unclear(where, "options are WIDTHxHEIGHT@RATE, a device's name and slate=SECONDS") from error


def _unclear(where: str, why: str) -> AdapterUnavailable:
    return AdapterUnavailable(f"{where!r:.80} describes no virtual camera; {why}", "for example virtualcam:1280x720@30")


class VirtualCamera:
    """virtualcam:WIDTHxHEIGHT@RATE. Pictures of any size are letterboxed into the camera's own."""

    def __init__(self, where: str) -> None:
        self._options = CameraOptions.read(where)
        self.name = "virtual camera"
        self._thread: Thread | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size = width, height
        self._news: tuple[Picture, float] | None = None  # the newest picture, and when it came
        self._failure: AdapterUnavailable | None = None
        self._ready, self._over = Event(), Event()
        self._thread = Thread(target=self._run, name="virtual camera", daemon=True)
        self._thread.start()
        if not self._ready.wait(OPEN_TIMEOUT):
            raise AdapterUnavailable("the virtual camera does not answer", "close the programs that show it")
        self._check()

    def send(self, frame: Frame) -> None:
        if frame.size != self._size:
            raise ValueError(f"opened at {self._size}, sent {frame.size}")
        self._check()
        self._news = frame.pixels.copy(), monotonic()

    def close(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join(timeout=2.0)  # else the driver hangs, and closing would too: the process takes it along
            self._thread = None

    def _check(self) -> None:
        if self._failure is not None:
            self.close()
            raise self._failure

    def _run(self) -> None:
        """The camera belongs to this thread from start to end."""
        camera = None
        try:
            camera = _open(self._options)
            self.name = camera.device
            self._play(camera)
        except AdapterUnavailable as error:
            self._failure = error
        except (RuntimeError, OSError) as error:
            self._failure = AdapterUnavailable(f"{self.name} was lost: {error}", "switch this output on again")
        finally:
            self._ready.set()
            if camera is not None:
                camera.close()
                if sys.platform == "linux":
                    camera_names.free(self.name, ours=True)

    def _play(self, camera: Any) -> None:
        shown = fitted = slate(self._options.width, self._options.height)
        waiting = fitted
        due, period = monotonic(), 1 / self._options.fps
        while not self._over.is_set():
            news = self._news
            if news is None or monotonic() - news[1] > self._options.slate:
                fitted = waiting
            elif news[0] is not shown:
                shown, fitted = news[0], fit_pixels(news[0], self._options.width, self._options.height)
            camera.send(fitted)
            self._ready.set()  # others may find a camera only once it has a picture
            due = max(due + period, monotonic() - period)
            time.sleep(max(0.0, due - monotonic()))


def list_devices() -> list[Device]:
    """The virtual cameras of this machine. Raises AdapterUnavailable if there is none."""
    found = [Device(f"virtualcam:{name}", what) for name, what in camera_names.virtual()]
    if not found:
        raise refusal(NONE[sys.platform])
    return found


def _open(options: CameraOptions) -> Any:
    """The camera. Raises AdapterUnavailable."""
    linux = sys.platform == "linux"
    for name in camera_names.loopbacks(options.device) if linux else ():
        camera_names.free(name)  # its last sender may have been killed
    try:
        return pyvirtualcam.Camera(options.width, options.height, options.fps, device=options.device)
    except (RuntimeError, OSError) as error:
        raise refusal(TAKEN if linux and camera_names.taken(options.device) else str(error)) from error
