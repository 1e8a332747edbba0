"""Syphon: pictures from and to other programs on macOS, through surfaces that processes share (syphon-python).

Everything happens on the main thread of a process of its own, whose run loop is turned here: without that, no server
is found, and ours is not found either. A surface holds BGRA with the bottom row first, as OpenGL does; it is
overwritten in place, so the newest picture wins. See Syphon-Framework's SyphonMetalServer.m.
"""

from __future__ import annotations

import time
from typing import Any

import syphon
from syphon.utils.numpy import copy_image_to_mtl_texture, copy_mtl_texture_to_image
from syphon.utils.raw import create_mtl_texture

from bridge.adapters.base import Device
from bridge.adapters.channel import NAME, Channel, alpha_of, known, opaque
from bridge.errors import AdapterUnavailable
from bridge.media.picture import Picture, cover_pixels
from engine.clock import monotonic
from engine.frame import Frame

PROGRAM = "the other program"
POLL_EVERY = 0.002  # seconds between two looks
RUN_LOOP_WAIT = 0.0005  # seconds for the run loop to hear what is new
SEARCH_TIMEOUT = 1.0  # seconds in which every server that is there has been heard of
RUN_LOOP_EVERY = 0.25  # seconds


class RunLoop:
    """The directory of servers, and the run loop through which it learns of them."""

    def __init__(self) -> None:
        self._directory = syphon.SyphonServerDirectory()
        self._directory.run_loop_interval = RUN_LOOP_WAIT
        self._due = 0.0

    def turn(self) -> None:
        """Let macOS deliver its news, now and then. Waits RUN_LOOP_WAIT at most."""
        if (now := monotonic()) >= self._due:
            self._due = now + RUN_LOOP_EVERY
            self._directory.update_run_loop()

    def servers(self) -> list[Any]:
        """What is known now; our own servers are among it."""
        return list(self._directory.servers)

    def search(self, name: str) -> Any:
        """The server people mean by `name`, any if it is empty; None if none appears within SEARCH_TIMEOUT."""
        deadline = monotonic() + SEARCH_TIMEOUT
        while (found := _pick(self.servers(), name)) is None and monotonic() < deadline:
            time.sleep(POLL_EVERY)
        return found

    def close(self) -> None:
        self._directory.close()


class SyphonSink:
    """syphon:NAME, the name under which other programs list it."""

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name or NAME
        self._server: Any = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._picture = opaque(width, height)
        self._loop = RunLoop()
        self._refuse_taken()
        try:
            self._server = syphon.SyphonMetalServer(self.name)
        except RuntimeError as error:
            self._loop.close()
            raise AdapterUnavailable(f"Syphon: {error}", "it takes a Mac with Metal, and somebody logged in") from error
        # two, because the card may still read one while we fill the other
        self._textures = [create_mtl_texture(self._server.device, width, height) for _ in range(2)]

    def send(self, frame: Frame) -> None:
        assert self._server is not None, "open comes first"
        self._channel.pack(frame.pixels, self._picture)
        self._textures.reverse()
        copy_image_to_mtl_texture(self._picture, self._textures[0])
        self._server.publish_frame_texture(self._textures[0], is_flipped=True)  # ours have the top row first
        self._loop.turn()

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._loop.close()
            self._server = None

    def _refuse_taken(self) -> None:
        """Two servers of one name are allowed, and nobody could tell them apart."""
        self._loop.search(self.name)
        if any(server.name == self.name for server in self._loop.servers()):
            self._loop.close()
            raise AdapterUnavailable(
                f"there is a Syphon server named {self.name} already", "end it, or use another syphon:NAME"
            )


class SyphonSource:
    """syphon:NAME or syphon:PROGRAM or syphon:PROGRAM/NAME, or without any the first server there is."""

    fps = 0.0  # Syphon does not say

    def __init__(self, where: str) -> None:
        self._channel = Channel.read(where)
        self.name = self._channel.name
        self._client: Any = None
        self._index = 0

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size = width, height
        self._last: Picture | None = None
        self._loop = RunLoop()
        found = self._loop.search(self._channel.name)
        if found is None:
            names = [_title(server) for server in self._loop.servers()]
            self._loop.close()
            what = f"no Syphon server named {self._channel.name}" if self._channel.name else "no Syphon server"
            raise AdapterUnavailable(f"there is {what}", known(names, PROGRAM))
        self.name = _title(found)
        self._client = syphon.SyphonMetalClient(found)

    def read(self, timeout: float) -> Frame | None:
        assert self._client is not None, "open comes first"
        deadline = monotonic() + timeout
        while (texture := self._newest()) is None:
            if monotonic() >= deadline:
                return None
            time.sleep(POLL_EVERY)
        self._last = copy_mtl_texture_to_image(texture)
        pixels = self._channel.unpack(self._last, bottom_up=True, bgra=True)
        self._index += 1
        return Frame(cover_pixels(pixels, *self._size), monotonic(), self._index - 1)

    def alpha(self) -> tuple[int, int] | None:
        return None if self._last is None else alpha_of(self._last)

    def close(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._loop.close()
            self._client = None

    def _newest(self) -> Any:
        """A texture that was not read before, or None. Raises AdapterUnavailable."""
        self._loop.turn()
        if not self._client.is_valid:
            raise AdapterUnavailable(f"Syphon server {self.name} has gone", f"start it again in {PROGRAM}")
        return self._client.new_frame_image if self._client.has_new_frame else None


def list_devices() -> list[Device]:
    """The servers of this machine."""
    loop = RunLoop()
    try:
        loop.search("\0")  # a name that nothing has: hear everybody out
        return [Device(f"syphon:{_title(server)}", server.app_name) for server in loop.servers()]
    finally:
        loop.close()


def _title(server: Any) -> str:
    """What to type for a server; some have no name but their program's."""
    return str(server.name or server.app_name or server.uuid)


def _pick(servers: list[Any], name: str) -> Any:
    """The server that is called `name`; a server's own name counts more than its program's."""
    for called in (lambda s: s.name, lambda s: s.app_name, lambda s: f"{s.app_name}/{s.name}", lambda s: s.uuid):
        for server in servers:
            if not name or called(server) == name:
                return server
    return None
