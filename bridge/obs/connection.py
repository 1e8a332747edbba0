"""
One connection to obs-websocket 5: Hello, Identify, then requests with their answers, and events.

Source: the protocol's own page, docs/generated/protocol.md of the obs-websocket repository.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from itertools import count
from threading import Thread, current_thread
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidMessage, WebSocketException
from websockets.sync.client import ClientConnection, connect

from bridge.obs.address import ObsAddress
from bridge.obs.errors import away, foreign, locked

HELLO, IDENTIFY, IDENTIFIED, EVENT, REQUEST, RESPONSE = 0, 1, 2, 5, 6, 7  # op codes
RPC_VERSION = 1
WRONG_PASSWORD = 4009  # close code of obs-websocket
MAX_MESSAGE = 2**26  # bytes
CLOSE_TIMEOUT = 0.5  # seconds OBS has for its half of the closing handshake
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # reading a message of another shape
_silent = logging.getLogger(f"{__name__}.websockets")  # its debug messages contain the answer to OBS's challenge
_silent.setLevel(logging.CRITICAL)
OnEvent = Callable[[str, Mapping[str, Any]], None]  # name and data; called on the connection's thread


class Connection:
    """One connection to OBS, made at once and never again by itself. Any thread may ask."""

    def __init__(self, address: ObsAddress, on_event: OnEvent, on_lost: Callable[[], None], timeout: float) -> None:
        """Raises ObsUnreachable, ObsPasswordError or NotObs."""
        self._address, self._timeout = address, timeout
        self._on_event, self._on_lost = on_event, on_lost
        self._numbers = count(1)
        self._waiting: dict[str, Future[dict[str, Any]]] = {}  # by the request's number
        self._leaving = False
        self._socket = _open(address, timeout)
        try:
            _identify(self._socket, address, timeout)
        except BaseException:
            self._socket.close()
            raise
        self._thread = Thread(target=self._receive, daemon=True)
        self._thread.start()

    def ask(self, request: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send one request; the whole answer, with its `requestStatus`. Raises ObsUnreachable."""
        number = str(next(self._numbers))
        answer = self._waiting[number] = Future()
        question = {"requestType": request, "requestId": number, "requestData": data}
        try:
            self._socket.send(json.dumps({"op": REQUEST, "d": question}))
            return answer.result(self._timeout)
        except TimeoutError:
            raise away(self._address) from None
        except (OSError, WebSocketException, CancelledError):
            raise away(self._address, "has gone") from None
        finally:
            self._waiting.pop(number, None)

    def hang_up(self) -> None:
        """Close the connection, and end its thread. Twice is fine."""
        self._leaving = True
        self._socket.close()
        if self._thread is not current_thread():
            self._thread.join(CLOSE_TIMEOUT)

    def _receive(self) -> None:
        try:
            for text in self._socket:
                self._take(json.loads(text))
        except (OSError, WebSocketException, *_MALFORMED):
            pass  # what follows is the same
        finally:
            self._end()

    def _take(self, message: Any) -> None:
        op, data = message["op"], message["d"]
        if op == EVENT:
            self._on_event(data["eventType"], data.get("eventData") or {})
        elif op == RESPONSE and (waiting := self._waiting.pop(data["requestId"], None)):
            waiting.set_result(data)

    def _end(self) -> None:
        """Whoever waits for an answer waits no longer, and nobody can ask any more."""
        self._socket.close()
        for waiting in list(self._waiting.values()):
            waiting.cancel()
        if not self._leaving:
            self._on_lost()


def _open(address: ObsAddress, timeout: float) -> ClientConnection:
    url = f"ws://[{address.host}]:{address.port}" if ":" in address.host else f"ws://{address.host}:{address.port}"
    try:
        connecting = connect(
            url,
            proxy=None,
            compression=None,
            open_timeout=timeout,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_MESSAGE,
            logger=_silent,
        )
        return connecting.__enter__()  # websockets 17 takes it for opened by no other way; closing it needs no `with`
    except (OSError, EOFError):
        raise away(address) from None
    except InvalidMessage as error:  # closed in the middle of the handshake, or no HTTP
        raise (away(address) if isinstance(error.__cause__, EOFError | OSError) else foreign(address)) from None
    except (WebSocketException, *_MALFORMED):
        raise foreign(address) from None


def _identify(socket: ClientConnection, address: ObsAddress, timeout: float) -> None:
    """Introduce ourselves, with the password if OBS wants one. Errors hide what was sent."""
    try:
        hello = _expect(socket, HELLO, timeout)
        data: dict[str, Any] = {"rpcVersion": RPC_VERSION}
        if challenge := hello.get("authentication"):
            secret = _digest(address.password + challenge["salt"])
            data["authentication"] = _digest(secret + challenge["challenge"])
        socket.send(json.dumps({"op": IDENTIFY, "d": data}))
        _expect(socket, IDENTIFIED, timeout)
    except ConnectionClosed as error:
        wrong = error.rcvd is not None and error.rcvd.code == WRONG_PASSWORD
        raise (locked(address) if wrong else foreign(address)) from None
    except (OSError, WebSocketException, *_MALFORMED):
        raise foreign(address) from None


def _expect(socket: ClientConnection, op: int, timeout: float) -> dict[str, Any]:
    message = json.loads(socket.recv(timeout))
    if message["op"] != op:
        raise ValueError(f"op {message['op']} where {op} belongs")
    data: dict[str, Any] = message["d"]
    return data


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
