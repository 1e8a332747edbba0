"""
The UDP port of the OSC surface. Answers leave from the port that questions come to, as firewalls expect and controllers
that look at where a datagram is from.

asyncio's datagram transport is not used, because on Windows it ends with the first listener that has gone: the
system reports "port unreachable" as an error of the next read, and after an error the Proactor's transport never reads
again (cpython gh-91227, gh-127057). Here a read that fails is followed by the next one, whatever the reason.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress

from bridge.errors import BridgeError, system_says
from bridge.surfaces.osc.wire import MAX_DATAGRAM

Address = tuple[str, int]
AFTER_ERROR = 0.01  # seconds; an error that stays must not take a whole core
RETRIES = 2  # a send may be told, in its own place, that an earlier one found nobody


class OscPort:
    """A bound UDP port: `received(datagram, sender)` is called on the event loop for whatever comes.

    Raises BridgeError when the port is taken or the host is not ours.
    """

    def __init__(self, host: str, port: int, received: Callable[[bytes, Address], None]) -> None:
        self._received = received
        self._udp = _bind(host, port)
        self.host: str
        self.port: int
        self.host, self.port = self._udp.getsockname()[:2]
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def send(self, datagram: bytes, to: Address) -> None:
        """Send one datagram, or lose it: UDP promises nothing, and nothing waits for it."""
        for _ in range(RETRIES):
            try:
                self._udp.sendto(datagram, to)
                return
            except ConnectionError:
                continue
            except OSError:  # too long, no such host, no room in the system's buffer
                return

    async def close(self) -> None:
        """Free the port. Twice is fine."""
        if self._reading:
            self._reading.cancel()
            await asyncio.wait({self._reading})  # the event loop still looks at the socket until then
        self._udp.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                datagram, sender = await loop.sock_recvfrom(self._udp, MAX_DATAGRAM)
            except OSError:
                await asyncio.sleep(AFTER_ERROR)
                continue
            if sender:  # newer Pythons on Windows report a listener that has gone as an empty datagram from nowhere
                loop.call_soon(self._received, datagram, sender[:2])
            await asyncio.sleep(0)  # a flood must not keep everybody else waiting


def _bind(host: str, port: int) -> socket.socket:
    udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    with suppress(OSError):  # a system may allow less
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * MAX_DATAGRAM)
    try:
        udp.bind((host, port))
    except OSError as error:
        udp.close()
        raise _cannot_listen(error, host, port) from error
    return udp


def _cannot_listen(error: OSError, host: str, port: int) -> BridgeError:
    if error.errno == errno.EADDRINUSE:
        return BridgeError(f"UDP port {port} is in use", "choose another with --osc-port, or end the other program")
    what = f"cannot listen for OSC on {host}:{port}: {system_says(error)}"
    return BridgeError(what, "check --osc-host and --osc-port")
