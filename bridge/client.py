"""Talks to a running latentcast on this machine, for the commands that ask it something."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from bridge.config import RunOptions
from bridge.errors import BridgeError

TIMEOUT = 5.0  # seconds


class NotRunning(BridgeError):
    """Nothing, or something else, answers where latentcast should be."""


def ask(options: RunOptions, method: str, path: str, body: Any = None) -> Any:
    """Send one request to the web surface that `options` describe; return its JSON.

    Raises NotRunning, or BridgeError with the sentence that the running instance answered.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    where = f"[{host}]:{options.web_port}" if ":" in host else f"{host}:{options.web_port}"
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"http://{where}{path}", data, {"content-type": "application/json"}, method=method)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:  # never through a proxy
            return json.load(answer)
    except HTTPError as error:
        with error:
            raise _refusal(error.read(), where) from error
    except (URLError, OSError) as error:
        hint = "start it with `latentcast run`, or name its port with --web-port"
        raise NotRunning(f"latentcast is not running at {where}", hint) from error
    except (HTTPException, ValueError) as error:
        raise _stranger(where) from error


def _refusal(body: bytes, where: str) -> BridgeError:
    try:
        answer = json.loads(body)
        return BridgeError(answer["error"], answer["hint"])
    except (ValueError, KeyError, TypeError):
        return _stranger(where)


def _stranger(where: str) -> NotRunning:
    return NotRunning(f"what answers at {where} is not latentcast", "name the right port with --web-port")
