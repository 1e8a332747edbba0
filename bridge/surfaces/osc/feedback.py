"""What OSC listeners hear: a heartbeat, the echo of every accepted change, when it was applied, and what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.control.control import ControlState, Event
from bridge.surfaces.osc.addresses import control_values, status_values
from bridge.surfaces.osc.port import Address
from bridge.surfaces.osc.wire import write_message
from engine.params import CONTROLS

Send = Callable[[bytes, Address], None]
# A controller may send back what it hears. Of two values of one control that are on their way to it at once, each would
# undo the other for ever, so a value is told when its control has come to rest.
ECHO_DELAY = 0.1  # seconds without a change
MAX_ECHO_DELAY = 0.5  # seconds after which it is told though it still moves
MAX_LISTENERS = 16  # the one that subscribed first makes room


class Feedback:
    """Watches the desk and tells the listeners, in messages below `root`.

    standing: the listener that is always there.
    """

    def __init__(self, control: ControlState, root: str, send: Send, standing: Address) -> None:
        self._control = control
        self._root = root
        self._send = send
        self._standing = standing
        self._subscribed: dict[Address, None] = {}  # in the order they came
        self._awaited: dict[str, int] = {}  # control -> the revision that changed it last, not yet applied
        self._moving: dict[str, tuple[float, asyncio.TimerHandle]] = {}  # control -> since when, and when it is told
        self._beats = 0
        self._end_watch = control.watch(self._heard)
        self._show(standing)  # its faders may stand as they did in another run

    def close(self) -> None:
        """Hear no more."""
        self._end_watch()
        for _, timer in self._moving.values():
            timer.cancel()
        self._moving.clear()

    def subscribe(self, listener: Address) -> None:
        """Tell this one too, from now on."""
        self._subscribed.pop(listener, None)
        while len(self._subscribed) >= MAX_LISTENERS:
            self._subscribed.pop(next(iter(self._subscribed)))
        self._subscribed[listener] = None
        self._show(listener)

    def unsubscribe(self, host: str) -> None:
        """Forget every listener of that machine but the standing one."""
        self._subscribed = {listener: None for listener in self._subscribed if listener[0] != host}

    def beat(self) -> None:
        """Say that the bridge lives, and how things stand. Called every second."""
        self._beats += 1
        self._tell("heartbeat", self._beats)
        for name, arguments in status_values(self._control.status).items():
            self._tell(name, *arguments)

    def answer(self, sender: Address, name: str, *arguments: object) -> None:
        """Reply to whoever asked: where the question came from, and where that machine listens."""
        datagram = write_message(f"{self._root}/{name}", *arguments)
        for listener in {sender, *(one for one in self._listeners() if one[0] == sender[0])}:
            self._send(datagram, listener)

    def _show(self, listener: Address) -> None:
        """Tell one listener every control as it is."""
        for row in CONTROLS:
            for name, arguments in control_values(self._control.params, row.name).items():
                self._send(write_message(f"{self._root}/{name}", *arguments), listener)

    def _listeners(self) -> set[Address]:
        return {self._standing, *self._subscribed}

    def _tell(self, name: str, *arguments: object) -> None:
        datagram = write_message(f"{self._root}/{name}", *arguments)
        for listener in self._listeners():
            self._send(datagram, listener)

    def _heard(self, event: Event) -> None:
        if event.kind == "changed":
            self._moved(list(event.data))
        elif event.kind == "applied":
            self._applied(event.data["revision"], event.data["frame"])
        elif event.kind == "state":
            self._tell("state", event.data["state"])
        elif event.kind == "error":
            self._tell("error", event.data["reason"], event.data["where"])

    def _moved(self, names: list[str]) -> None:
        loop = asyncio.get_running_loop()
        for name in names:
            self._awaited[name] = self._control.params.revision
            now = loop.time()
            since, timer = self._moving.get(name, (now, None))
            if timer:
                timer.cancel()
            due = min(now + ECHO_DELAY, since + MAX_ECHO_DELAY)
            self._moving[name] = since, loop.call_at(due, self._echo, name)

    def _echo(self, name: str) -> None:
        self._moving.pop(name)[1].cancel()
        for address, arguments in control_values(self._control.params, name).items():
            self._tell(address, *arguments)

    def _applied(self, revision: int, frame: int) -> None:
        """A control changed again before its first change was applied is reported once, for the last."""
        done = [name for name, wanted in self._awaited.items() if wanted <= revision]
        for name in done:
            del self._awaited[name]
            if name in self._moving:
                self._echo(name)
            self._tell("applied", f"{self._root}/{name}", frame)
