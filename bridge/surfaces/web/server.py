"""
uvicorn, with limits it does not have: how many may be connected, and for how long without an answer.

An idle connection must cost the run nothing. So connections are accepted one at a time, use at most a part of the file
descriptors of this process, and are closed when they take too long. asyncio's own server takes as
many as there are descriptors, and then the log fills with thousands of tracebacks a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bridge.errors import BridgeError
from engine.clock import monotonic

MAX_CONNECTIONS = 128  # connections; a page takes three, and a few more while it loads
DESCRIPTORS_PER_CONNECTION = (
    4  # one descriptor in so many may be a connection: the rest is for pictures, engine and files
)
ANSWER_TIMEOUT = 10.0  # seconds from a connection, or the last answer, to the end of the next answer
READ_TIMEOUT = 20.0  # seconds a WebSocket's client may leave unread what was sent
RETRY = 1.0  # seconds between two attempts while the system has no descriptor left
LOG_EVERY = 60.0  # seconds before the same is said again
log = logging.getLogger(__name__)
_faults = logging.getLogger(f"{__name__}.uvicorn")
_faults.setLevel(logging.ERROR)  # what clients do wrong is said below, once


class Server(uvicorn.Server):
    """Serves what comes to `listener`, which it closes at the end."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        listener.setblocking(False)
        self.max_connections = max_connections()
        self._listener = listener
        self._up = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._said: dict[str, float] = {}

    async def begin(self) -> asyncio.Task[None]:
        """Serve until `should_exit` is set; the task that then ends. Raises BridgeError if uvicorn cannot."""
        serving = asyncio.create_task(self.serve())
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if serving.done():
            self._listener.close()
            hint = "install its parts again: pip install --force-reinstall uvicorn h11 websockets"
            raise BridgeError(f"the web page cannot be served: {serving.exception()}", hint)
        return serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        self.servers = []
        self._taking = asyncio.create_task(self._take())
        self.started = True
        self._up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on everybody, within about a second."""
        if self._taking:
            self._taking.cancel()
            await asyncio.wait({self._taking})
        self._listener.close()
        await super().shutdown()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: cut whoever is late."""
        now = monotonic()
        for connection in tuple(self._connections()):
            connection.check(now)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave Ctrl-C to the bridge, which has more to end than this server."""
        yield

    def say(self, sentence: str) -> None:
        """Log it, but for what was said a short while ago."""
        now = monotonic()
        if now >= self._said.get(sentence, -math.inf) + LOG_EVERY:
            self._said[sentence] = now
            log.warning(sentence)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except ConnectionError:  # gone before its turn
                continue
            except OSError as error:
                self.say(f"the web page takes no connections for now: {error.strerror}; close some files or pages")
                await asyncio.sleep(RETRY)
                continue
            await self._admit(client)

    async def _admit(self, client: socket.socket) -> None:
        if len(self.server_state.connections) >= self.max_connections and not self._make_room():
            client.close()
            return self.say(
                f"the web page has {self.max_connections} connections, as many as it takes; close some pages"
            )
        with suppress(OSError):  # gone already
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, client)
        return None

    def _connection(self) -> Connection:
        return Connection(self)

    def _connections(self) -> Iterator[Connection | Listener]:
        return (one for one in self.server_state.connections if isinstance(one, Connection | Listener))

    def _make_room(self) -> bool:
        """Cut the connection that has gone without an answer for longest; False if all of them are WebSockets."""
        waiting = [one for one in self._connections() if isinstance(one, Connection)]
        if waiting:
            min(waiting, key=lambda one: one.deadline).transport.abort()
        return bool(waiting)


class Connection(H11Protocol):
    """An HTTP connection, until it becomes a WebSocket. Nothing here takes long to answer, so every answer is due."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self.logger = _faults
        self.deadline = monotonic() + ANSWER_TIMEOUT
        self._our_server = server

    def check(self, now: float) -> None:
        if now > self.deadline:
            self.transport.abort()

    def on_response_complete(self) -> None:
        self.deadline = monotonic() + ANSWER_TIMEOUT
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. Where a request before it is being answered, that answer is not sent either."""
        self._our_server.say("somebody at the web page's port does not speak HTTP, and is not answered")
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
        else:
            with suppress(h11.LocalProtocolError):
                super().send_400_response(msg)
        self.transport.close()


class Listener(WebSocketsSansIOProtocol):
    """A WebSocket. Its client only listens: what it says is dropped, and if it does not read, it is cut."""

    deadline = math.inf

    def check(self, now: float) -> None:
        if self.transport.is_closing() and self.deadline == math.inf:
            self.deadline = now + ANSWER_TIMEOUT
        if now > self.deadline:
            self.transport.abort()

    async def send(self, message: Any) -> None:
        await self.writable.wait()
        if self.close_sent:  # uvicorn logs an error for what is sent to a client that it has cut for nonsense
            raise ClientDisconnected
        await super().send(message)
        # uvicorn logs an error for every client that is refused by a response, as without the token
        if self.close_sent:
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        self.frames = []

    def pause_writing(self) -> None:
        self.deadline = monotonic() + READ_TIMEOUT
        self.writable.clear()  # uvicorn itself does so only in newer versions

    def resume_writing(self) -> None:
        self.deadline = math.inf
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable.set()
        super().connection_lost(exc)


def max_connections() -> int:
    """How many connections this process can do with; systems differ in how many descriptors one may have."""
    if sys.platform == "win32":  # sockets are no descriptors there
        return MAX_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // DESCRIPTORS_PER_CONNECTION)
    )
