"""
OBS's remote control, obs-websocket 5: questions with typed errors, events, and deadlines. bridge/obs/connection.py
carries the messages.

Source: the protocol's own page, docs/generated/protocol.md of the obs-websocket repository.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bridge.obs.address import ObsAddress
from bridge.obs.connection import Connection, OnEvent
from bridge.obs.errors import ObsRefused, foreign
from engine.clock import monotonic

TIMEOUT = 5.0  # seconds for an answer, and for a connection
READY_TIMEOUT = 15.0  # seconds OBS may be busy with starting, or with changing its scene collection
READY_RETRY = 0.2  # seconds
NOT_READY = 207
T = TypeVar("T")


class Answer(dict[str, Any]):
    """What OBS answered. What should be in it and is not raises NotObs; so does an answer of another shape."""

    def __init__(self, address: ObsAddress, said: Any) -> None:
        if not isinstance(said, Mapping):
            raise foreign(address)
        try:
            super().__init__({key: self._read(address, value) for key, value in said.items()})
        except RecursionError:  # a few hundred tables in one another
            raise foreign(address) from None
        self._address = address

    def __missing__(self, key: str) -> Any:
        raise foreign(self._address)

    def text(self, key: str) -> str:
        """What should be a string."""
        return self._of(str, self[key])

    def number(self, key: str) -> int:
        """What should be a whole number."""
        return self._of(int, self[key])

    def table(self, key: str) -> Answer:
        """What should be an object."""
        return self._of(Answer, self[key])

    def tables(self, key: str) -> list[Answer]:
        """What should be a list of objects."""
        return [self._of(Answer, each) for each in self._of(list, self[key])]

    def texts(self, key: str) -> list[str]:
        """What should be a list of strings."""
        return [self._of(str, each) for each in self._of(list, self[key])]

    def _of(self, kind: type[T], value: Any) -> T:
        if not isinstance(value, kind):
            raise foreign(self._address)
        return value

    @classmethod
    def _read(cls, address: ObsAddress, value: Any) -> Any:
        if isinstance(value, list):
            return [cls._read(address, each) for each in value]
        return cls(address, value) if isinstance(value, Mapping) else value


class ObsClient:
    """One connection. Any thread may ask; `on_event` hears everything OBS tells, `on_lost` once that it is over."""

    def __init__(self, address: ObsAddress, on_event: OnEvent | None = None, on_lost: Callable[[], None] | None = None):
        """Connect. Raises ObsUnreachable, ObsPasswordError or NotObs, each with a next step."""
        self.address = address
        self._link = Connection(address, on_event or (lambda name, data: None), on_lost or (lambda: None), TIMEOUT)
        try:
            self.version = str(self.ask("GetVersion")["obsVersion"])  # answered only once OBS is ready
        except BaseException:
            self.close()
            raise

    def ask(self, request: str, **data: Any) -> Answer:
        """Send one request and wait for what OBS answers. Waits on while OBS says that it is not ready.

        Raises ObsRefused, ObsUnreachable if it does not answer in time, or NotObs if what it answers makes no sense.
        """
        deadline = monotonic() + READY_TIMEOUT
        while True:
            answer = Answer(self.address, self._link.ask(request, data))
            status = Answer(self.address, answer["requestStatus"])
            if status["result"]:
                return Answer(self.address, answer.get("responseData") or {})
            if status["code"] != NOT_READY or monotonic() > deadline:
                raise ObsRefused(request, status["code"], status.get("comment", ""))
            time.sleep(READY_RETRY)

    def close(self) -> None:
        """Hang up. Twice is fine, and so is after OBS has gone."""
        self._link.hang_up()

    def __enter__(self) -> ObsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
