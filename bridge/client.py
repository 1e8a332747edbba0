"""Talks to a running latentcast on this machine, for the commands that ask it something."""

from __future__ import annotations

import json
from dataclasses import fields
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from bridge.access.addresses import at, from_here, is_ours
from bridge.access.tokens import read_token
from bridge.control.control import EngineStatus, Status
from bridge.errors import BridgeError
from bridge.options import RunOptions

TIMEOUT = 5.0  # seconds
TOKEN_HINT = "say --token TOKEN, which ends the address that `latentcast run` printed"
STATUS = {field.name for field in fields(Status)} | {"params", "revision"}  # what every status has


class NotRunning(BridgeError):
    """Nothing, or something else, answers where latentcast should be."""


def ask(options: RunOptions, method: str, path: str, body: Any = None) -> Any:
    """Send one request to the web surface that `options` describe; return its JSON.

    Raises NotRunning, or BridgeError with the sentence that the running instance answered.
    """
    host = from_here(options.host)
    where = at(host, options.web_port)
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"http://{where}{path}", data, {"content-type": "application/json"}, method=method)
    if token := options.token or (read_token(options.web_port) if is_ours(host) else ""):
        request.add_unredirected_header("authorization", f"Bearer {token}")
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:  # never through a proxy
            return json.load(answer)
    except HTTPError as error:
        with error:
            raise _refusal(error.read(), where, error.code) from error
    except (URLError, OSError) as error:
        hint = "start it with `latentcast run`, or name its port with --web-port"
        raise NotRunning(f"latentcast is not running at {where}", hint) from error
    except (HTTPException, ValueError) as error:
        raise _not_latentcast(where) from error


def ask_status(options: RunOptions) -> dict[str, Any]:
    """How the running instance stands. Raises NotRunning for another program's answer too, whatever JSON that is."""
    answer = ask(options, "GET", "/api/status")
    if not (isinstance(answer, dict) and answer.keys() >= STATUS and _is_engine(answer["engine"])):
        raise _not_latentcast(f"port {options.web_port}")
    return answer


def _is_engine(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {field.name for field in fields(EngineStatus)}


def _refusal(body: bytes, where: str, status: int) -> BridgeError:
    try:
        answer = json.loads(body)
        return BridgeError(answer["error"], TOKEN_HINT if status == HTTPStatus.UNAUTHORIZED else answer["hint"])
    except (ValueError, KeyError, TypeError):
        return _not_latentcast(where)


def _not_latentcast(where: str) -> NotRunning:
    return NotRunning(f"what answers at {where} is not latentcast", "name the right port with --web-port")
