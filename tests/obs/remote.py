"""OBS's websocket, spoken to with OBS's own words: independent of the product's client, so a second opinion."""

import base64
import json
from contextlib import ExitStack, suppress
from hashlib import sha256
from itertools import count

from websockets.exceptions import WebSocketException
from websockets.sync import client

ANSWER_TIMEOUT = 30.0  # seconds
OPEN_TIMEOUT = 5.0  # seconds for each step of a connection


class Refused(AssertionError):
    """OBS answered a request with an error."""

    def __init__(self, request, status):
        super().__init__(f"{request}: {status.get('code')} {status.get('comment', '')}")
        self.code = status.get("code")


class Client:
    """One connection."""

    def __init__(self, socket, stack):
        self._socket, self._stack = socket, stack
        self._numbers = count(1)

    def ask(self, request, data):
        """What OBS answers, as a dict. Raises Refused, or ConnectionError."""
        number = str(next(self._numbers))
        question = {"requestType": request, "requestId": number, "requestData": data}
        try:
            self._socket.send(json.dumps({"op": 6, "d": question}))
            answer = {}
            while answer.get("op") != 7 or answer["d"]["requestId"] != number:
                answer = json.loads(self._socket.recv(timeout=ANSWER_TIMEOUT))
        except (TimeoutError, WebSocketException) as error:
            raise ConnectionError(f"OBS did not answer {request}: {error}") from error
        if not answer["d"]["requestStatus"]["result"]:
            raise Refused(request, answer["d"]["requestStatus"])
        return answer["d"].get("responseData") or {}

    def close(self):
        with suppress(OSError, WebSocketException):
            self._stack.close()


def connect(port, password):
    """A connection to the OBS of this machine. Raises ConnectionError."""
    stack = ExitStack()
    try:
        address, options = f"ws://127.0.0.1:{port}", {"proxy": None, "max_size": 2**26, "close_timeout": 1}
        socket = stack.enter_context(client.connect(address, open_timeout=OPEN_TIMEOUT, **options))
        greeting = json.loads(socket.recv(timeout=OPEN_TIMEOUT))["d"]["authentication"]
        answer = _digest(_digest(password + greeting["salt"]) + greeting["challenge"])
        who = {"rpcVersion": 1, "authentication": answer, "eventSubscriptions": 0}
        socket.send(json.dumps({"op": 1, "d": who}))
        json.loads(socket.recv(timeout=OPEN_TIMEOUT))
    except (TimeoutError, WebSocketException) as error:
        stack.close()
        raise ConnectionError(str(error)) from error
    return Client(socket, stack)


def _digest(text):
    return base64.b64encode(sha256(text.encode()).digest()).decode()
