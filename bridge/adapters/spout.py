"""Spout: pictures from and to other programs on Windows, through the graphics card's memory (SpoutGL).

One thread serves one sender or receiver from `open` to `close`; each of ours has a process to itself. Pictures lie in
them with the top row first. Source: the bindings of SpoutGL 0.1.1, and Spout's own SpoutGL/Spout.cpp.
"""

from __future__ import annotations

import time

import numpy as np
import SpoutGL
from SpoutGL.enums import GL_RGBA

from bridge.adapters.base import Device
from bridge.adapters.channel import NAME, Channel, alpha_of, known, opaque
from bridge.errors import AdapterUnavailable
from bridge.media.picture import Picture, cover_pixels
from engine.clock import monotonic
from engine.frame import Frame

PROGRAM = "the other program"
POLL_EVERY = (
    0.002  # seconds between two looks; a wake-up by the sender (waitFrameSync) is not to be had from all of them
)
MAX_SENDERS = 10  # that Spout lists unless its settings say otherwise


class SpoutSink:
    """spout:NAME. Refuses a name that a living sender has, since Spout would quietly give out NAME_1."""

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name or NAME
        self._sender: SpoutGL.SpoutSender | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        before = _names()
        if self.name in before and _lives(self.name):
            raise AdapterUnavailable(
                f"there is a Spout sender named {self.name} already", "end it, or use another spout:NAME"
            )
        self._picture = opaque(width, height)
        self._sender = SpoutGL.SpoutSender()
        self._sender.setSenderName(self.name)
        if not self._send():  # the first picture makes the sender
            self.close()
            raise AdapterUnavailable("Spout cannot send from here", _cure(before))
        self.name = next((name for name in _names() if name not in before), self.name)

    def send(self, frame: Frame) -> None:
        assert self._sender is not None, "open comes first"
        self._channel.pack(frame.pixels, self._picture)
        if not self._send():
            raise AdapterUnavailable(
                f"Spout sender {self.name} was lost", "restart this output; the GPU may have reset"
            )

    def close(self) -> None:
        if self._sender is not None:
            self._sender.releaseSender()
            self._sender = None

    def _send(self) -> bool:
        assert self._sender is not None
        height, width = self._picture.shape[:2]
        sent: bool = self._sender.sendImage(self._picture, width, height, GL_RGBA, False, 0)
        return sent


class SpoutSource:
    """spout:NAME, or without a name the sender that Spout calls active."""

    fps = 0.0  # Spout does not say

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name
        self._receiver: SpoutGL.SpoutReceiver | None = None
        self._index = 0

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        self._buffer: Picture | None = None
        self._seen = False
        self._receiver = SpoutGL.SpoutReceiver()
        names = _names(self._receiver)
        self.name = self._channel.name or _active(self._receiver) or next(iter(names), "")
        if self.name not in names:
            self.close()
            what = f"no Spout sender named {self.name}" if self.name else "no Spout sender"
            raise AdapterUnavailable(f"there is {what}", known(names, PROGRAM))
        self._receiver.setReceiverName(self.name)

    def read(self, timeout: float) -> Frame | None:
        deadline = monotonic() + timeout
        while not self._receive():
            if monotonic() >= deadline:
                return None
            time.sleep(POLL_EVERY)
        assert self._buffer is not None
        pixels = self._channel.unpack(self._buffer)
        self._index += 1
        return Frame(cover_pixels(pixels, *self._size), monotonic(), self._index - 1)

    def alpha(self) -> tuple[int, int] | None:
        return alpha_of(self._buffer) if self._seen and self._buffer is not None else None

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.releaseReceiver()
            self._receiver = None

    def _receive(self) -> bool:
        """Whether a picture that was not read before is in the buffer now. Raises AdapterUnavailable."""
        assert self._receiver is not None, "open comes first"
        received = self._receiver.receiveImage(self._buffer, GL_RGBA, False, 0)
        if self._receiver.isUpdated():  # connected, or another size: the call wrote nothing
            size = self._receiver.getSenderHeight(), self._receiver.getSenderWidth(), 4
            self._buffer, self._seen = np.zeros(size, np.uint8), False
            return False
        if not received and not self._receiver.isConnected() and self.name not in _names(self._receiver):
            raise AdapterUnavailable(f"Spout sender {self.name} has gone", f"start it again in {PROGRAM}")
        if not received or self._buffer is None or not self._receiver.isFrameNew():
            return False
        self._seen = self._seen or bool(self._buffer.any())  # all zero until the first picture is really there
        return self._seen


def list_devices() -> list[Device]:
    """The senders of this machine."""
    receiver = SpoutGL.SpoutReceiver()
    try:
        return [Device(f"spout:{name}", _describe(receiver, name)) for name in _names(receiver)]
    finally:
        receiver.releaseReceiver()


def _describe(receiver: SpoutGL.SpoutReceiver, name: str) -> str:
    info = receiver.getSenderInfo(name)  # whose own name is always empty
    return f"{info.width}x{info.height}" if info else "no longer answers"


def _names(receiver: SpoutGL.SpoutReceiver | None = None) -> list[str]:
    return list((receiver or SpoutGL.SpoutReceiver()).getSenderList())


def _active(receiver: SpoutGL.SpoutReceiver) -> str:
    return receiver.getActiveSender() or ""


def _lives(name: str) -> bool:
    """A sender that crashed stays in the list for a while, without anything behind its name."""
    return SpoutGL.SpoutReceiver().getSenderInfo(name) is not None


def _cure(names: list[str]) -> str:
    if len(names) >= MAX_SENDERS:
        return f"{len(names)} senders are there; raise the limit in SpoutSettings, or end one of them"
    return "it takes DirectX 11: update the graphics driver, and leave a remote desktop session"
