"""Knobs and pictures in a browser: one page, served by the bridge itself. The requests are in api.py."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from bridge.access.addresses import at, from_here, from_others, is_loopback
from bridge.access.tokens import new_token, remove_token, write_token
from bridge.control.control import ControlState
from bridge.errors import BridgeError, system_says
from bridge.surfaces.web.access import Access
from bridge.surfaces.web.api import MAX_BODY, build_app
from bridge.surfaces.web.guard import Guard
from bridge.surfaces.web.preview import Preview
from bridge.surfaces.web.server import Listener, Server

SEND_BUFFER = 64 * 1024  # bytes the system may hold for one client: pictures that wait there are pictures from the past
log = logging.getLogger(__name__)


class WebSurface:
    """Serves the page on `host`:`port`. `incoming` and `outgoing` name the rings it shows side by side.

    token: what everybody needs to come in. If there is none, `start` makes one where others can reach the port.
    """

    def __init__(
        self,
        control: ControlState,
        incoming: str,
        outgoing: str,
        host: str = "127.0.0.1",
        port: int = 9512,
        token: str = "",
    ) -> None:
        self.port = port
        self.token = token
        self._control = control
        self._previews = {"in": Preview(incoming), "out": Preview(outgoing)}
        self._host = host
        self._bound = host  # the address that the name stands for
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where programs of this machine find the page."""
        return f"http://{at(from_here(self._host), self.port)}"

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the port."""
        return not is_loopback(self._bound)

    @property
    def link(self) -> str:
        """What to open in a browser of this machine."""
        return self._with_token(self.url)

    @property
    def links(self) -> list[str]:
        """What to open in a browser, also on another machine if it is served there."""
        found = from_others(self._host) if self.is_open else []
        return [self._with_token(f"http://{at(host, self.port)}") for host in found] or [self.link]

    async def start(self) -> None:
        """Bind and serve. Raises BridgeError when the port is taken or the host is not ours."""
        listener = _listen(self._host, self.port)
        self._bound, self.port = listener.getsockname()[:2]
        if not self.token and not is_loopback(self._bound):
            self.token = new_token()
        config = uvicorn.Config(
            self._app(),
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
        self._write_token()

    async def stop(self) -> None:
        """Hang up on everybody and close the port, within about a second. Twice is fine."""
        if self._server and self._serving:
            self._server.should_exit = True
            with _quiet(logging.getLogger("uvicorn.error")):  # whom it has to cut off is no error, and no traceback
                await self._serving
            for preview in self._previews.values():
                await preview.close()
            remove_token(self.port)
        self._server = self._serving = None

    def _app(self) -> ASGIApp:
        app: ASGIApp = build_app(self._control, self._previews)
        if self.token:
            app = Access(app, self.token, self.port)
        return Guard(app, self._host, neighbours=not self.token)

    def _with_token(self, url: str) -> str:
        return f"{url}/?token={self.token}" if self.token else url

    def _write_token(self) -> None:
        """For `latentcast status` and the like."""
        try:
            if self.token:
                write_token(self.port, self.token)
        except OSError as error:
            log.warning("`latentcast status` needs --token: it cannot be kept for it, %s", system_says(error))


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
