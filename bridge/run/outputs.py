"""Where the pictures go besides the web page and the ring: switched on and off by name while they flow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bridge.children.adapter_link import AdapterLink
from bridge.children.supervisor import module_command
from bridge.control.control import BadAction, OutputStatus
from bridge.errors import AdapterFailed

OPEN_TIMEOUT = 20.0  # seconds; a busy machine takes its time to start a process
RECORD = "record"


class Outputs:
    """The sinks, each reading `ring`. on_failure: called with the output's name and one sentence for people."""

    def __init__(self, ring: str, fps: float, on_failure: Callable[[str, str], None]) -> None:
        self._ring, self._fps = ring, fps
        self._on_failure = on_failure
        self._links: dict[str, AdapterLink] = {}
        self._finishing: set[AdapterLink] = set()  # recordings that are over, and not whole yet
        self._switching = asyncio.Lock()  # an output is closed before it is opened again
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def status(self) -> tuple[OutputStatus, ...]:
        """Every output that is on or has something to finish; what is on comes first."""
        links = (*self._links.values(), *self._finishing)
        return tuple(link.status for link in links if link.on) + self.finishing

    @property
    def finishing(self) -> tuple[OutputStatus, ...]:
        """Every output that was switched off and whose file is not whole yet."""
        return tuple(link.status for link in (*self._links.values(), *self._finishing) if link.finishing)

    async def open(self, uris: Sequence[str]) -> None:
        """Send pictures to all of `uris`. Raises AdapterFailed for the first that does not open."""
        links = [self._add(uri.partition(":")[0], uri) for uri in uris]
        for link in links:
            link.start()
        for link in links:
            await link.opened(OPEN_TIMEOUT)

    def switch(self, name: str, on: bool) -> None:
        """Switch an output on or off. Raises BadAction for one that does not exist."""
        if name not in self._links:
            raise BadAction(f"there is no output named {name!r:.80}", f"known: {', '.join(self._links) or 'none'}")
        self._begin(self._switch(self._links[name], on))

    def record(self, on: bool) -> None:
        """Start a recording in the current folder, or finish the one there is."""
        self._begin(self._record(on))

    async def stop(self) -> None:
        """End every output; recordings are finished, however long that takes while they get on. Twice is fine."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(link.stop() for link in (*self._links.values(), *self._finishing)))

    def kill(self) -> None:
        """Finish nothing any more: `stop` returns soon, and people are told which parts are left."""
        for link in (*self._links.values(), *self._finishing):
            if link.finishing:
                link.kill()

    def _add(self, name: str, uri: str) -> AdapterLink:
        names = [name, *(f"{name}-{number}" for number in range(2, len(self._links) + 3))]
        name = next(free for free in names if free not in self._links)
        command = module_command(
            "bridge.adapters.sink_main", "--ring", self._ring, "--fps", f"{self._fps:g}", "--", uri
        )
        self._links[name] = AdapterLink(
            name, uri.partition(":")[0], command, lambda reason: self._on_failure(name, reason)
        )
        return self._links[name]

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, link: AdapterLink) -> None:
        link.start()
        try:
            await link.opened(OPEN_TIMEOUT)
        except AdapterFailed as error:
            self._on_failure(link.name, error.sentence)

    async def _switch(self, link: AdapterLink, on: bool) -> None:
        async with self._switching:
            if on and not link.runs:
                await self._start(link)
            elif link.on and not on:
                await link.stop()

    async def _record(self, on: bool) -> None:
        """Each recording is an output of its own, with a file of its own."""
        async with self._switching:
            link = self._links.get(RECORD)
            if on and not (link and link.runs):
                self._links.pop(RECORD, None)
                await self._start(self._add(RECORD, time.strftime("recorder:latentcast-%Y%m%d-%H%M%S.mp4")))
            elif link and link.on and not on:
                self._begin(self._finish(self._links.pop(RECORD)))

    async def _finish(self, link: AdapterLink) -> None:
        """End a recording; the next one need not wait for that."""
        self._finishing.add(link)
        await link.stop()
        self._finishing.discard(link)
