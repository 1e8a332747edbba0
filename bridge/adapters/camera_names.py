"""What the system calls its cameras, real and virtual, without opening one for longer than a question takes."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
from av.error import FFmpegError

# VIDIOC_QUERYCAP and VIDIOC_STREAMON of linux/videodev2.h, on every common processor
QUERYCAP, STREAMON = 0x80685600, 0x40045612
OUTPUT_BUFFERS = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
CAPABILITY = struct.Struct("<16s32s32sIII12x")  # driver, card, bus, version, capabilities, of this device
CAPTURE, OUTPUT, PER_DEVICE = 0x1, 0x2, 0x80000000
LOOPBACK = "v4l2 loopback"
VIRTUAL = ("OBS Virtual Camera", "Unity Video Capture")  # on macOS and Windows
FORMATS = {"darwin": "avfoundation", "win32": "dshow"}


class Node(NamedTuple):
    """A file of Video4Linux. `problem` says why it could not be asked."""

    path: Path
    driver: str = ""
    card: str = ""
    can: int = 0
    problem: str = ""

    @property
    def number(self) -> int:
        return int(self.path.name.removeprefix("video"))


def cameras() -> list[tuple[int, str]]:
    """Number and name of each camera that pictures can be taken from."""
    if sys.platform == "linux":
        return [(node.number, node.card or node.problem) for node in nodes() if node.can & CAPTURE or node.problem]
    return list(enumerate(_listed()))


def virtual() -> list[tuple[str, str]]:
    """Name and description of each camera that pictures can be sent to."""
    if sys.platform == "linux":
        return [(str(node.path), node.card) for node in nodes() if node.driver == LOOPBACK]
    return [(name, "virtual camera") for name in _listed() if name in VIRTUAL]


def is_loopback(name: str) -> bool:
    """Whether a camera, as FFmpeg calls it, is one of v4l2loopback's: OBS's virtual camera on Linux, or ours."""
    return sys.platform == "linux" and _ask(Path(name)).driver == LOOPBACK


def free(name: str, ours: bool = False) -> None:
    """Give a loopback back to the next program that wants to send to it.

    v4l2loopback 0.12 with exclusive_caps does so only if its last sender used streaming, and pyvirtualcam uses `write`.
    So somebody has to stream, for a moment. Not while another program sends: unless it was `ours`, nobody may have it
    open. Source: its vidioc_streamon and v4l2_loopback_close.
    """
    node = _ask(Path(name))
    if node.driver != LOOPBACK or node.can & OUTPUT or not (ours or _is_idle(node.path)):
        return
    import fcntl

    with suppress(OSError), node.path.open("r+b", buffering=0) as device:
        fcntl.ioctl(device, STREAMON, struct.pack("i", OUTPUT_BUFFERS))


def loopbacks(name: str | None) -> list[str]:
    """The loopback of this name, or all of them."""
    return [str(node.path) for node in nodes() if node.driver == LOOPBACK and name in (None, str(node.path))]


def taken(name: str | None) -> bool:
    """Whether some program sends to this loopback, or to all of them."""
    found = [_ask(Path(path)) for path in loopbacks(name)]
    return bool(found) and not any(node.can & OUTPUT for node in found)


def _is_idle(path: Path) -> bool:
    """Whether no process that we may look at has the device open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == path:
                return False
    return True


def nodes(folder: Path = Path("/dev")) -> Iterator[Node]:
    """Every /dev/videoN there is, by number."""
    found = [path for path in folder.glob("video*") if re.fullmatch(r"video\d+", path.name)]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("video"))):
        yield _ask(path)


def _ask(path: Path) -> Node:
    answer = bytearray(CAPABILITY.size)
    try:
        with path.open("rb", buffering=0) as device:
            import fcntl  # not there on Windows

            fcntl.ioctl(device, QUERYCAP, answer)
    except OSError as error:
        return Node(path, problem=f"cannot be asked: {error.strerror}")
    driver, card, _, _, all_of_it, here = CAPABILITY.unpack(answer)
    can = here if all_of_it & PER_DEVICE else all_of_it
    return Node(path, _text(driver), _text(card), can)


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode(errors="replace")


def _listed() -> list[str]:
    """What FFmpeg lists, in its order, which is how it numbers them."""
    try:
        devices = av.enumerate_input_devices(FORMATS.get(sys.platform, ""))
    except (FFmpegError, OSError, ValueError):
        return []
    return [str(device.description) for device in devices if "video" in device.media_types or not device.media_types]
