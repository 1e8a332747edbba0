"""
Pictures to and from a stock OBS over loopback TCP: its Media source reads ours, its Custom Output (FFmpeg) sends us its
program. OBS is the client both times, and comes and goes as it likes.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from threading import Condition, Lock, Thread

import av
import numpy as np
from av.error import FFmpegError

from bridge.errors import AdapterUnavailable, BridgeError, system_says
from bridge.media.picture import Picture, cover
from bridge.obs.nut import NutWriter, read_nut
from bridge.obs.wire import HOST, PICTURE_PORT, PROGRAM_PORT, port_of
from engine.clock import monotonic
from engine.frame import Frame

MAX_READERS = 8  # at most; one OBS is one reader, however many scenes show it
MAX_CALLERS = 8  # at most who have connected and shown nothing yet: anything on this machine may knock
MAX_WAITING = 2  # pictures: OBS sends two at once after it was held up, and neither is to be lost for that


class ObsSink:
    """obs, or obs:PORT: whoever connects gets every picture, or, if slow, the newest. Nobody needs to."""

    def __init__(self, where: str = "") -> None:
        self._port = _port(where, PICTURE_PORT)
        self.name = f"obs, port {self._port}"
        self._listening: _Port | None = None
        self._readers: list[_Reader] = []
        self._lock = Lock()
        self._last: Picture | None = None

    def open(self, width: int, height: int, fps: float) -> None:
        self._size, self._fps, self._last = (width, height), fps, None
        self._listening = _Port(self._port, self._accept, "--out obs:PORT and `latentcast obs setup --port PORT`")

    def send(self, frame: Frame) -> None:
        if frame.size != self._size:
            raise ValueError(f"opened at {self._size}, sent {frame.size}")
        picture = to_bgra(frame.pixels)
        with self._lock:
            self._last = picture
            self._readers = [reader for reader in self._readers if reader.alive]
            for reader in self._readers:
                reader.give(picture)

    def close(self) -> None:
        if self._listening is None:
            return
        self._listening.close()
        with self._lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        self._listening = None

    def _accept(self, client: socket.socket) -> None:
        with self._lock:
            alive = [reader for reader in self._readers if reader.alive]
            if len(alive) >= MAX_READERS:
                stuck = next((reader for reader in alive if reader.behind), None)
                if stuck is None:
                    client.close()
                    return
                stuck.close()  # who connects and never reads shall not keep OBS out
            reader = _Reader(client, NutWriter(client, *self._size, self._fps))
            self._readers.append(reader)
            if self._last is not None:
                reader.give(self._last)


class ObsSource:
    """obs, or obs:PORT: the pictures of whoever came last with one; none while nobody does."""

    def __init__(self, where: str = "") -> None:
        self._port = _port(where, PROGRAM_PORT)
        self.name = f"obs, port {self._port}"
        self.fps = 30.0
        self._listening: _Port | None = None
        self._client: socket.socket | None = None  # whose pictures are seen
        self._callers: list[socket.socket] = []  # who have connected and sent no picture yet
        self._news = Condition()
        self._waiting: deque[tuple[av.VideoFrame, float]] = deque(maxlen=MAX_WAITING)
        self._failure: AdapterUnavailable | None = None
        self._numbers = count()

    def open(self, width: int, height: int, fps: float = 0.0) -> None:
        self._size, self.fps = (width, height), fps or self.fps
        self._waiting.clear()
        self._failure = None
        self._listening = _Port(
            self._port, self._accept, "--in obs:PORT and `latentcast obs setup --program-port PORT`"
        )

    def read(self, timeout: float) -> Frame | None:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._failure, timeout)
            came, failure = self._waiting.popleft() if self._waiting else None, self._failure
        if came is None:
            if failure:
                raise failure
            return None
        picture, moment = came  # scaled only now: the ones nobody waits for must not keep OBS waiting
        return Frame(cover(picture, *self._size), moment, next(self._numbers))

    def close(self) -> None:
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        with self._news:
            clients = [*self._callers, *filter(None, [self._client])]
            self._callers, self._client = [], None  # what they leave unfinished is our doing
        for client in clients:
            _hang_up(client)

    def _accept(self, client: socket.socket) -> None:
        with self._news:
            if len(self._callers) >= MAX_CALLERS:
                _hang_up(self._callers.pop(0))
            self._callers.append(client)
        Thread(target=self._take, args=(client,), name=self.name, daemon=True).start()

    def _take(self, client: socket.socket) -> None:
        failure = None
        try:
            for picture in read_nut(client):
                self._show(client, picture)
        except BridgeError as error:
            failure = AdapterUnavailable(f"what came to port {self._port} {error}", error.hint)
        except (FFmpegError, OSError):
            pass  # it hung up in the middle of a picture, as a killed OBS does
        _hang_up(client)
        with self._news:
            known = client is self._client or client in self._callers  # else we hung up ourselves
            if client is self._client:
                self._client = None
            if client in self._callers:
                self._callers.remove(client)
            if failure and known and self._client is None:  # somebody else's nonsense is nothing to one who is seen
                self._failure = failure
                self._news.notify()

    def _show(self, client: socket.socket, picture: av.VideoFrame) -> None:
        """A picture has come; with the first one, a client takes the place of whoever was seen before."""
        with self._news:
            if client in self._callers:
                self._callers.remove(client)
                if self._client is not None:
                    _hang_up(self._client)
                self._client = client
            if client is self._client:
                self._waiting.append((picture, monotonic()))
                self._news.notify()


class _Port:
    """A listening port of this machine, and the thread that lets clients in."""

    def __init__(self, port: int, welcome: Callable[[socket.socket], None], other: str) -> None:
        try:
            self._listener = socket.create_server((HOST, port))
        except OSError as error:
            hint = f"end the other program that has it, or choose another port, with {other}"
            raise AdapterUnavailable(f"TCP port {port} cannot be opened: {system_says(error)}", hint) from error
        self._accept, self._closing = welcome, False
        self._thread = Thread(target=self._wait, name=f"obs port {port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        # a listener that is only closed goes on waiting on Linux; one that is shut down is left alone elsewhere
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _wait(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._accept(client)
            except OSError:  # it is over, or a client has gone while he was let in
                time.sleep(0.0 if self._closing else 0.1)


class _Reader:
    """One connection on a thread of its own, with room for one picture: a newer one takes its place."""

    def __init__(self, client: socket.socket, writer: NutWriter) -> None:
        self._client, self._writer = client, writer
        self._news = Condition()
        self._next: Picture | None = None
        self.alive = True
        self._thread = Thread(target=self._run, name="obs reader", daemon=True)
        self._thread.start()

    def give(self, picture: Picture) -> None:
        with self._news:
            self._next = picture
            self._news.notify()

    @property
    def behind(self) -> bool:
        """Whether a picture waits because the one before is not read yet."""
        return self._next is not None

    def close(self) -> None:
        with self._news:
            self.alive = False
            self._news.notify()
        _hang_up(self._client)
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, FFmpegError):  # it hung up, which is its right
            while (picture := self._take()) is not None:
                self._writer.write(picture)
        self.alive = False
        _hang_up(self._client)

    def _take(self) -> Picture | None:
        with self._news:
            self._news.wait_for(lambda: self._next is not None or not self.alive)
            picture, self._next = self._next, None
            return picture if self.alive else None


def to_bgra(pixels: Picture) -> Picture:
    """uint8 RGB [H, W, 3] -> BGRA [H, W, 4], opaque."""
    picture = np.empty((*pixels.shape[:2], 4), np.uint8)
    for channel in range(3):  # plane by plane is three times as fast as turning them over at once
        picture[..., channel] = pixels[..., 2 - channel]
    picture[..., 3] = 255
    return picture


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    client.close()


def _port(where: str, default: int) -> int:
    try:
        return port_of(where, default)
    except BridgeError as error:
        raise AdapterUnavailable(str(error), error.hint) from error
