"""Where the pictures come from, and changing it while they flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from bridge.children.adapter_link import AdapterLink
from bridge.children.supervisor import module_command
from bridge.errors import AdapterFailed

OPEN_TIMEOUT = 20.0  # seconds; some cameras take three, and a busy machine takes its time to start a process
DEFAULT_INPUTS = ("camera", "clip")  # what an input that nobody named may be, best first


class Input:
    """One source at a time, writing into `ring`. on_failure: called with one sentence for people."""

    def __init__(self, ring: str, fps: float | None, on_failure: Callable[[str], None]) -> None:
        self.uri = ""
        self._ring, self._fps = ring, fps
        self._on_failure = on_failure
        self._link: AdapterLink | None = None
        self._changing = asyncio.Lock()  # a ring has one writer
        self._requests = 0

    async def open(self, uri: str) -> None:
        """Take pictures from `uri`, or from the first thing that opens if it is empty. Raises AdapterFailed.

        If people asked for another one before it came to that, theirs stays.
        """
        *better, last = (uri,) if uri else DEFAULT_INPUTS
        async with self._changing:
            if self.uri:
                return None
            for candidate in better:
                with suppress(AdapterFailed):
                    return await self._open(candidate)
            return await self._open(last)

    async def replace(self, uri: str) -> None:
        """Take pictures from `uri` instead; if it does not open, from where they came before. Raises AdapterFailed.

        Of requests that come while another is being carried out, only the last counts.
        """
        self._requests = mine = self._requests + 1
        async with self._changing:
            if mine == self._requests:
                await self._replace(uri)

    async def stop(self) -> None:
        """End the source. Twice is fine."""
        if self._link is not None:
            await self._link.stop()

    async def _replace(self, uri: str) -> None:
        before = self.uri
        try:
            await self._open(uri)
        except AdapterFailed as error:
            if before:
                await self._return_to(before, error)
            raise

    async def _return_to(self, before: str, error: AdapterFailed) -> None:
        """Open what there was before. Raises AdapterFailed, for both, if that is gone too: then there is no input."""
        try:
            await self._open(before)
        except AdapterFailed as worse:
            self.uri = ""
            why = f"{error}, and {before} does not open any more: {worse}"
            raise AdapterFailed(why, "choose another input") from error

    async def _open(self, uri: str) -> None:
        await self.stop()  # a ring has one writer
        options = ("--ring", self._ring, "--fps", f"{self._fps or 0:g}")
        command = module_command("bridge.adapters.source_main", *options, "--", uri)  # a file may be called -x.mp4
        self._link = AdapterLink("input", uri.partition(":")[0], command, self._on_failure)
        self._link.start()
        try:
            await self._link.opened(OPEN_TIMEOUT)
        except AdapterFailed:
            await self._link.stop()
            raise
        self.uri = uri
