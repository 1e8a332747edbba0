"""Knobs and pictures in a browser: one page, served by the bridge itself. The requests are in web_api.py."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from bridge.control import ControlState
from bridge.errors import BridgeError, system_says
from bridge.surfaces.web_api import MAX_BODY, build_app
from bridge.surfaces.web_guard import Guard
from bridge.surfaces.web_pictures import Preview
from bridge.surfaces.web_server import Listener, Server

SEND_BUFFER = 64 * 1024  # bytes the system may hold for one client: pictures that wait there are pictures from the past


class WebSurface:
    """Serves the page on `host`:`port`. `incoming` and `outgoing` name the rings it shows side by side."""

    def __init__(
        self, control: ControlState, incoming: str, outgoing: str, host: str = "127.0.0.1", port: int = 9512
    ) -> None:
        self.port = port
        self._control = control
        self._previews = {"in": Preview(incoming), "out": Preview(outgoing)}
        self._host = host
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Bind and serve. Raises BridgeError when the port is taken or the host is not ours."""
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            Guard(build_app(self._control, self._previews), self._host),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws=Listener,
            ws_max_size=MAX_BODY,
            ws_per_message_deflate=False,  # JPEG does not shrink twice
            timeout_graceful_shutdown=1,
        )
        self._server = Server(config, listener)
        self._serving = await self._server.begin()

    async def stop(self) -> None:
        """Hang up on everybody and close the port, within about a second. Twice is fine."""
        if self._server and self._serving:
            self._server.should_exit = True
            with _quiet(logging.getLogger("uvicorn.error")):  # whom it has to cut off is no error, and no traceback
                await self._serving
            for preview in self._previews.values():
                await preview.close()
        self._server = self._serving = None


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "choose another with --web-port, or end the other program"
            raise BridgeError(f"TCP port {port} is in use", hint) from error
        what = f"cannot serve the web page on {host}:{port}: {system_says(error)}"
        raise BridgeError(what, "check --host and --web-port") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves this one alone: 40 ms an answer
    return listener
