"""A desk on its own event loop, as in the bridge, so that tests talk to surfaces from outside, over real sockets."""

import asyncio
import itertools
import os
import socket
import threading
import time

import pytest

from bridge.control.control import ControlState
from bridge.errors import BridgeError
from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.params import Params
from tests.bridge.surfaces.browser import Browser

runs = itertools.count()


class Desk:
    """A ControlState on a loop in a thread, and what it was asked to perform."""

    def __init__(self):
        self.performed = []
        self.control = ControlState(Params(), self._perform)
        self._surfaces = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _perform(self, action, arguments):
        if arguments == ("broken",):
            raise BridgeError("broken cannot be had", "take another")
        self.performed.append((action, *arguments))

    def call(self, function, *arguments, **named):
        """Call a plain function on the loop, as the bridge's own code would."""

        async def call():
            return function(*arguments, **named)

        return self.wait(call())

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    def start(self, surface):
        self.wait(surface.start())
        self._surfaces.append(surface)
        return surface

    def until(self, condition, seconds=90.0):
        """Wait for what was sent to arrive."""
        deadline = monotonic() + seconds
        while not condition():
            assert monotonic() < deadline, "it never came"
            time.sleep(0.005)

    def close(self):
        for surface in self._surfaces:
            self.wait(surface.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def free_port():
    """Find a port nobody uses, for UDP and TCP alike."""

    def free_port(kind=socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return free_port


@pytest.fixture
def ring_names():
    """Names for the rings in and out that no other test has."""
    run = next(runs)
    return [f"lct-{os.getpid()}-{run}-{end}" for end in ("i", "o")]


@pytest.fixture
def rings(ring_names):
    """The two rings, 64 x 48."""
    with RingWriter.create(ring_names[0], 64, 48) as incoming, RingWriter.create(ring_names[1], 64, 48) as outgoing:
        yield {"in": incoming, "out": outgoing}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
