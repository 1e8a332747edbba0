"""
Who may use the web page's port once it needs a token: whoever has the address that `latentcast run` prints.

A browser gives the token once, in the address, and keeps it as a cookie that no script can read and no other site can
send. Programs give it as `Authorization: Bearer TOKEN`, or in the address, as in `/ws?token=TOKEN`.
"""

from __future__ import annotations

import hmac
import html
from collections.abc import Iterator

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE_AGE = 30 * 24 * 3600  # seconds a browser keeps the cookie: a tablet may restart in the middle of a show
HINT = "open the address that `latentcast run` printed, with ?token= and all"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="dark light">
<link rel="icon" href="data:,">{head}<title>latentcast</title>
<p>{text}
"""


class Access:
    """Passes on to `app` what knows the token, and answers everything else with 401."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._cookie = f"latentcast-{port}"  # a cookie's name is shared by all ports of a machine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = HTTPConnection(scope)
        given = list(self._given(asked))
        if not any(hmac.compare_digest(one.encode(), self._token.encode()) for one in given):
            answer: ASGIApp = _refusal(asked, "that is not the token of this run" if given else "this needs a token")
        elif scope["path"] == "/" and "token" in asked.query_params:
            answer = self._store_token()
        else:
            answer = self._app
        await answer(scope, receive, send)

    def _given(self, asked: HTTPConnection) -> Iterator[str]:
        yield from asked.query_params.getlist("token")
        if (cookie := asked.cookies.get(self._cookie)) is not None:
            yield cookie
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip()

    def _store_token(self) -> Response:
        """Keep the token, and go on to the address without it.

        The page goes there by itself. After a redirect of a link on another site, the browser would keep a strict
        cookie back.
        """
        answer = HTMLResponse(PAGE.format(head='<meta http-equiv="refresh" content="0; url=/">', text="one moment"))
        answer.set_cookie(self._cookie, self._token, max_age=COOKIE_AGE, httponly=True, samesite="strict")
        return answer


def _refusal(asked: HTTPConnection, reason: str) -> Response:
    headers = {"www-authenticate": "Bearer"}
    if "text/html" in asked.headers.get("accept", ""):
        text = html.escape(f"latentcast: {reason}. {HINT[0].upper()}{HINT[1:]}.")
        return HTMLResponse(PAGE.format(head="", text=text), 401, headers)
    return JSONResponse({"error": reason, "hint": HINT}, 401, headers)
