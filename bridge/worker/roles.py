"""The protocols that the engine's loop needs, each of a few methods, so that tests can replace them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Protocol

from bridge.process.protocol import Message
from engine.frame import Frame
from engine.params import Params
from engine.preset import Preset


class Inbox(Protocol):
    """Where camera frames arrive."""

    @property
    def newest_time(self) -> float:
        """Capture time of the newest frame there is, read or not."""

    @property
    def missed(self) -> int:
        """Frames gone before they could be read."""

    def next(self, timeout: float) -> Frame | None: ...


class Outbox(Protocol):
    """Where finished pictures go. Writing never waits: a slow reader misses pictures instead."""

    def write(self, frame: Frame) -> None: ...


class Control(Protocol):
    """Controls from the user, and messages back. `stopping` turns true once and stays true."""

    @property
    def stopping(self) -> bool: ...

    def latest(self) -> Params | None:
        """The newest snapshot if any control moved since the last call, else None."""

    def take_reset(self) -> bool:
        """Whether a reset was asked for since the last call."""

    def beat(self, deadline: float) -> None:
        """The loop came round, and does so again within `deadline` seconds."""

    def say(self, message: Message) -> None: ...


class Session(Protocol):
    """The part of engine.session.Session this loop needs."""

    @property
    def device(self) -> str:
        """Where it runs, in a word."""

    @property
    def report(self) -> Any:
        """A new object for every chunk, None before the first."""

    def update(self, params: Params) -> None: ...

    def push(self, frame: Frame) -> None: ...

    def step(self) -> Iterable[Frame]: ...

    def reset(self) -> None: ...


OpenSession = Callable[[Preset, Executor], Session]
