"""
obs-websocket-py, with what it leaves out: a deadline for connecting, the code and comment of a refusal, the reason why
a connection was closed, and a receiving thread that ends in silence. Nothing else in the project imports it.

Source: obswebsocket/core.py of obs-websocket-py 1.0.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Lock, current_thread
from typing import Any

from obswebsocket import core, obsws, requests
from obswebsocket.exceptions import ConnectionFailure, MessageTimeout
from websocket import ABNF, WebSocket, WebSocketConnectionClosedException, WebSocketException, WebSocketTimeoutException

from bridge.obs.address import ObsAddress
from bridge.obs.errors import away, foreign, locked

WRONG_PASSWORD = 4009  # close code of obs-websocket
NORMAL = 1000
_NONSENSE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)  # what an answer of another shape ends in
logging.getLogger("obswebsocket").setLevel(logging.CRITICAL)  # what people need to know is raised
OnEvent = Callable[[str, Mapping[str, Any]], None]  # name and data; called on a thread of the connection


class Connection(obsws):  # type: ignore[misc]  # the library has no types
    """One connection to OBS, made at once and never again by itself."""

    def __init__(self, address: ObsAddress, on_event: OnEvent, on_lost: Callable[[], None], timeout: float) -> None:
        """Raises ObsAway, ObsLocked or ObsForeign."""
        super().__init__(address.host, address.port, address.password, legacy=False, timeout=timeout)
        self._address, self._on_lost = address, on_lost
        self._asking = Lock()  # the library counts its questions without one
        self._over = Event()
        self._leaving = False
        self.answers = _Answers()
        self.register(lambda event: on_event(event.name, event.datain))
        self.connect()

    def connect(self) -> None:
        self.ws = _Socket()
        url = f"ws://[{self.host}]:{self.port}" if ":" in self.host else f"ws://{self.host}:{self.port}"
        try:
            there = socket.create_connection((self.host, self.port), self.timeout)  # by itself it asks proxies
            self.ws.connect(url, socket=there, timeout=self.timeout)
            self._auth()
            self.ws.settimeout(None)
        except (OSError, WebSocketException, ConnectionFailure, *_NONSENSE) as error:
            self.ws.shutdown()
            raise self._why(error) from None  # the library's error may hold what it sent
        self.thread_recv = _Receiver(self)
        self.thread_recv.start()

    def ask(self, request: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send one request; the whole answer, with its `requestStatus`. Raises ObsAway or ObsForeign."""
        try:
            with self._asking:
                answer: dict[str, Any] = self.call(getattr(requests, request)(**data)).datain
            return answer
        except MessageTimeout:
            what = "has gone" if self._over.is_set() else "does not answer"
            raise away(self._address, what) from None
        except (OSError, WebSocketException):
            raise away(self._address, "has gone") from None
        except _NONSENSE:
            raise foreign(self._address) from None

    def disconnect(self) -> None:
        """Called by the library when the other side has hung up; the thread that noticed ends by itself."""
        self.thread_recv.running = False

    def hang_up(self) -> None:
        """Say goodbye, and end the receiving thread. Twice is fine."""
        self._leaving = True
        self.thread_recv.running = False
        with suppress(OSError, WebSocketException):
            self.ws.send_close(NORMAL)
        if self.thread_recv is not current_thread():
            self.thread_recv.join(timeout=0.5)  # until OBS has said goodbye too
        self.ws.shutdown()

    def lost(self) -> None:
        """The receiving thread has ended: whoever waits for an answer waits no longer."""
        self._over.set()
        for waiting in list(self.events.values()):
            waiting.set()
        if not self._leaving:
            self._on_lost()

    def _why(self, error: Exception) -> Exception:
        if self.ws.close_code == WRONG_PASSWORD:
            return locked(self._address)
        if isinstance(error, WebSocketTimeoutException | WebSocketConnectionClosedException | ConnectionResetError):
            return foreign(self._address) if self.ws.connected_once else away(self._address)
        if isinstance(error, OSError):
            return away(self._address)
        return foreign(self._address)


class _Socket(WebSocket):  # type: ignore[misc]
    """Keeps the code with which the other side closed, which the library throws away."""

    close_code = 0
    connected_once = False

    def connect(self, url: str, **options: Any) -> None:
        super().connect(url, **options)
        self.connected_once = True

    def recv_data_frame(self, control_frame: bool = False) -> Any:
        opcode, frame = super().recv_data_frame(control_frame)
        if opcode == ABNF.OPCODE_CLOSE:
            self.close_code = int.from_bytes(frame.data[:2], "big")
        return opcode, frame

    def shutdown(self) -> None:
        """Close at once, and wake whoever is receiving."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        super().shutdown()


class _Answers(dict[str, Any]):
    """The library takes answers out of here and passes on their data alone; this makes the whole answer the data."""

    def pop(self, number: str, *default: Any) -> Any:
        answer = super().pop(number, *default)
        return {**answer, "responseData": answer}


class _Receiver(core.RecvThread):  # type: ignore[misc]
    """The library's thread lets errors of a dying connection through to stderr, and tells nobody that it ended."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.daemon = True

    def run(self) -> None:
        try:
            with suppress(OSError, WebSocketException, *_NONSENSE):
                super().run()
        finally:
            self.core.lost()
