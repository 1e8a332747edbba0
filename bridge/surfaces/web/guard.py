"""
Who may talk to the web page's server. It listens on this machine only, but so does every page open in its browser:

* another site's script may send requests here, and the browser names that site as the Origin;
* another site's name may be made to point at 127.0.0.1 (DNS rebinding), and the browser names it as the Host.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.access.addresses import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


class Guard:
    """Lets requests from this machine's own pages and programs through, and no others.

    neighbours: pages from other ports of this machine may turn knobs, too.
    """

    def __init__(self, app: ASGIApp, host: str, neighbours: bool = True) -> None:
        self._app = app
        self._neighbours = neighbours
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        if reason := self._objection(scope):
            await (_refuse(reason, send_guarded) if scope["type"] == "http" else _hang_up(receive, send))
        else:
            await self._app(scope, receive, send_guarded)

    def _objection(self, scope: Scope) -> str:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", [])}
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(_hostname(f"//{host}")):
            return f"this server is not called {host!r:.80}"
        if origin is None or (scope["type"] == "http" and scope["method"] in SAFE_METHODS):
            return ""
        same = urlsplit(origin).netloc == host if _hostname(origin) else False
        local = is_loopback(_hostname(origin)) and is_loopback(_hostname(f"//{host}"))
        return "" if same or (local and self._neighbours) else f"a page from {origin!r:.80} may not turn these knobs"

    def _is_ours(self, name: str) -> bool:
        return name in self._names or _is_address(name)  # an address cannot be made to point elsewhere


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # a bracket that never closes
        return ""


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


async def _refuse(reason: str, send: Send) -> None:
    body: dict[str, Any] = {"error": reason, "hint": "open the address that `latentcast run` prints"}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _hang_up(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})
