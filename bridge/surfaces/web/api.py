"""The web surface's requests: JSON in and out, events and pictures over WebSockets. Nothing here knows a control."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.control.control import ACTIONS, ControlState, Event
from bridge.errors import BridgeError
from bridge.surfaces.web.preview import Preview
from engine.errors import BadPreset, EngineError
from engine.params import CONTROLS
from engine.preset import load_preset, preset_names

STATIC = Path(__file__).with_name("static")
MAX_BODY = 65536  # bytes
STATUS_EVERY = (
    2.0  # seconds; nobody who listens to events is left without a word for longer, and can tell that we are gone
)


class BadRequest(BridgeError):
    """A request body that is not the JSON it should be."""


def build_app(control: ControlState, previews: Mapping[str, Preview]) -> Starlette:
    """Every address of the web surface. `previews` by the last part of their WebSocket's address."""
    api = Api(control, previews)
    routes = [
        Route("/api/status", api.status),
        Route("/api/controls", api.controls),
        Route("/api/controls/{name}", api.set, methods=["PUT"]),
        Route("/api/actions/{name}", api.act, methods=["POST"]),
        WebSocketRoute("/ws", api.events),
        WebSocketRoute("/ws/{name}", api.pictures),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Starlette(routes=routes, exception_handlers={EngineError: _refusal, ClientDisconnect: _nobody})


class Api:
    """The answers, given the desk and the pictures."""

    def __init__(self, control: ControlState, previews: Mapping[str, Preview]) -> None:
        self._control = control
        self._previews = previews

    async def status(self, request: Request) -> Response:
        """How things stand."""
        return _answer(self._control.to_dict())

    async def controls(self, request: Request) -> Response:
        """The table of controls with their values, the actions, and what the prompt box and the preset list offer."""
        params = self._control.params
        rows = [row._asdict() | {"kind": row.kind, "value": getattr(params, row.name)} for row in CONTROLS]
        actions = [{"name": n, "help": a.help, "takes": [t.__name__ for t in a.takes]} for n, a in ACTIONS.items()]
        looks = _looks(self._control.status.engine.preset)
        return _answer({"controls": rows, "actions": actions, "looks": looks, "presets": preset_names()})

    async def set(self, request: Request) -> Response:
        """Change one control: {"value": ...}."""
        name = request.path_params["name"]
        body = await _read(request)
        if set(body) != {"value"}:
            raise BadRequest("a control takes one value", 'send {"value": ...}')
        params = self._control.set(name, body["value"])
        return _answer({"name": name, "value": getattr(params, name), "revision": params.revision})

    async def act(self, request: Request) -> Response:
        """Do something once: {"arguments": [...]}, or nothing where an action takes none."""
        name = request.path_params["name"]
        arguments = (await _read(request)).get("arguments", [])
        if not isinstance(arguments, list):
            raise BadRequest("an action's arguments are a list", 'send {"arguments": [...]}')
        self._control.do(name, *arguments)
        return _answer({"done": name})

    async def events(self, socket: WebSocket) -> None:
        """First the status, then every event as {"kind", "data", "revision"}; a "status" carries all of it.

        With no news for STATUS_EVERY seconds, the status again.
        """
        await socket.accept()
        mailbox = Mailbox()
        mailbox.put(Event("status", {}, self._control.params.revision))
        end_watch = self._control.watch(mailbox.put)
        try:
            await _until_gone(socket, self._tell(socket, mailbox))
        finally:
            end_watch()

    async def pictures(self, socket: WebSocket) -> None:
        """JPEG files of one preview, each in one binary message."""
        name = socket.path_params["name"]
        if name not in self._previews:
            return await socket.close(1008)
        await socket.accept()
        return await _until_gone(socket, self._show(socket, self._previews[name]))

    async def _tell(self, socket: WebSocket, mailbox: Mailbox) -> None:
        while True:
            try:
                events = await asyncio.wait_for(mailbox.take(), STATUS_EVERY)
            except TimeoutError:
                events = [Event("status", {}, self._control.params.revision)]
            for event in events:
                data = self._control.to_dict() if event.kind == "status" else event.data
                await socket.send_text(to_json({"kind": event.kind, "data": data, "revision": event.revision}))

    async def _show(self, socket: WebSocket, preview: Preview) -> None:
        pictures = preview.pictures()
        try:
            async for jpeg in pictures:
                await socket.send_bytes(jpeg)
        finally:
            await pictures.aclose()


class Mailbox:
    """Events on their way to one client. What is newer replaces what still lies there, so it never fills."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], Event] = {}  # errors by where they are, everything else by its kind
        self._full = asyncio.Event()

    def put(self, event: Event) -> None:
        """Leave an event; changes of several controls join into one."""
        key = event.kind, event.data.get("where", "") if event.kind == "error" else ""
        if event.kind == "changed" and key in self._events:
            event = replace(event, data={**self._events[key].data, **event.data})
        self._events[key] = event
        self._full.set()

    async def take(self) -> list[Event]:
        """Wait until there is something, and take it all."""
        await self._full.wait()
        self._full.clear()
        events, self._events = list(self._events.values()), {}
        return events


def to_json(data: Any) -> str:
    """JSON that every reader takes: what is not a finite number is null, and all of it is ASCII."""
    return json.dumps(_finite(data), allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(item) for item in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _answer(data: Any, status: int = 200) -> Response:
    return Response(to_json(data), status, media_type="application/json")


async def _refusal(request: Request, error: Exception) -> Response:
    return _answer({"error": str(error), "hint": getattr(error, "hint", "")}, 422)


async def _nobody(request: Request, error: Exception) -> Response:
    """Whoever asked has hung up in the middle of it, so the answer goes nowhere."""
    return Response(status_code=400)


async def _read(request: Request) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise BadRequest("the request is too long", f"send at most {MAX_BODY} bytes")
    try:
        data = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the request is not JSON", 'send {"value": ...} or {"arguments": [...]}') from error
    if not isinstance(data, dict):
        raise BadRequest("the request is not a JSON object", 'send {"value": ...} or {"arguments": [...]}')
    return data


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _looks(preset: str) -> list[str]:
    try:
        return list(load_preset(preset or "tiny").looks)
    except BadPreset:  # a preset file that was changed while its engine runs
        return []


async def _until_gone(socket: WebSocket, sending: Coroutine[Any, Any, None]) -> None:
    """Send until the client leaves. Listening to it, which says nothing else, is the only way to learn that it has."""
    task = asyncio.create_task(sending)
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect):
            await task
