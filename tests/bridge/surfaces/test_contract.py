"""What every surface owes the desk, whatever it speaks. A new surface adds a remote here and gets the whole suite."""

import json
import socket

import httpx
import pytest
from websockets.sync.client import connect

from bridge.errors import BridgeError
from bridge.surfaces.osc.surface import OscSurface
from bridge.surfaces.osc.wire import read_packet, write_message
from bridge.surfaces.web.surface import WebSurface
from engine.params import CONTROLS

EXAMPLES = {"str": "neon", "bool": True, "int": 3, "float": 0.25}


class OscRemote:
    """A hand on the OSC surface, and an ear at its feedback port."""

    def __init__(self, desk, ring_names):
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.settimeout(30)
        self.surface = desk.start(OscSurface(desk.control, port=0, feedback_port=self._udp.getsockname()[1]))
        self._hear(f"/latentcast/{CONTROLS[-1].name}")  # all of them, as they are

    def another(self, desk):
        return OscSurface(desk.control, port=self.surface.port, feedback_port=1)

    def set(self, name, value):
        self._send(f"/latentcast/{name}", value)

    def do(self, action):
        self._send(f"/latentcast/{action}")

    def refusal(self):
        return self._hear("/latentcast/error")[0]

    def hear_change(self, name):
        return self._hear(f"/latentcast/{name}")[0]

    def hear_applied(self):
        return self._hear("/latentcast/applied")[1]

    def hear_failure(self):
        return self._hear("/latentcast/error")[0]

    def hear_state(self, state):
        while self._hear("/latentcast/state")[0] != state:
            pass

    def _send(self, *message):
        self._udp.sendto(write_message(*message), ("127.0.0.1", self.surface.port))

    def _hear(self, address):
        while True:
            ((message,),) = [batch.messages for batch in read_packet(self._udp.recv(65536))]
            if message.address == address:
                return message.arguments

    def close(self):
        self._udp.close()


class WebRemote:
    """A browser without a screen."""

    def __init__(self, desk, ring_names):
        self._rings = ring_names
        self.surface = desk.start(WebSurface(desk.control, *ring_names, port=0))
        self._http = httpx.Client(base_url=self.surface.url, trust_env=False, timeout=60)
        self._connecting = connect(f"ws://127.0.0.1:{self.surface.port}/ws", proxy=None)
        self._events = self._connecting.__enter__()
        self._refusal = ""

    def another(self, desk):
        return WebSurface(desk.control, *self._rings, port=self.surface.port)

    def set(self, name, value):
        self._note(self._http.put(f"/api/controls/{name}", content=json.dumps({"value": value})))

    def do(self, action):
        self._note(self._http.post(f"/api/actions/{action}"))

    def refusal(self):
        return self._refusal

    def hear_change(self, name):
        return self._hear("changed", name)

    def hear_applied(self):
        return self._hear("applied", "frame")

    def hear_failure(self):
        return self._hear("error", "reason")

    def hear_state(self, state):
        while self._hear("state", "state") != state:
            pass

    def _note(self, answer):
        self._refusal = answer.json().get("error", "")

    def _hear(self, kind, name):
        while True:
            news = json.loads(self._events.recv(timeout=30))
            if news["kind"] == kind and name in news["data"]:
                return news["data"][name]

    def close(self):
        self._connecting.__exit__(None, None, None)
        self._http.close()


@pytest.fixture(params=[OscRemote, WebRemote], ids=["osc", "web"])
def remote(request, desk, ring_names):
    remote = request.param(desk, ring_names)
    yield remote
    remote.close()


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.name)
def test_every_control_of_the_table_can_be_set(desk, remote, row):
    remote.set(row.name, EXAMPLES[row.kind])

    desk.until(lambda: desk.control.params.revision == 1)
    assert getattr(desk.control.params, row.name) == EXAMPLES[row.kind]


def test_a_slider_that_overshoots_is_clamped(desk, remote):
    remote.set("noise", 7)

    desk.until(lambda: desk.control.params.noise == 1.0)


@pytest.mark.parametrize("name, value", [("nosie", 1), ("noise", float("nan")), ("noise", "loud"), ("prompt", 3)])
def test_a_mistake_is_answered_and_changes_nothing(desk, remote, name, value):
    remote.set(name, value)

    assert remote.refusal()
    assert desk.control.params.revision == 0


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.name)
def test_a_change_made_elsewhere_is_heard(desk, remote, row):
    desk.call(desk.control.set, row.name, EXAMPLES[row.kind])

    assert remote.hear_change(row.name) == EXAMPLES[row.kind]


def test_a_surface_hears_its_own_change_and_when_a_picture_shows_it(desk, remote):
    remote.set("steps", 4)
    assert remote.hear_change("steps") == 4

    desk.call(desk.control.publish, applied={"revision": 1, "frame": 128})
    assert remote.hear_applied() == 128


def test_an_action_reaches_the_application(desk, remote):
    remote.do("reset")

    desk.until(lambda: desk.performed == [("reset",)])


def test_news_of_the_state_and_of_failures_is_heard(desk, remote):
    desk.call(desk.control.publish, state="degraded")
    remote.hear_state("degraded")

    desk.call(desk.control.fail, "the disk is full; free some space", "output/stage")
    assert remote.hear_failure() == "the disk is full; free some space"


def test_a_port_that_is_taken_is_a_sentence_with_a_next_step(desk, remote):
    with pytest.raises(BridgeError) as error:
        desk.start(remote.another(desk))

    assert str(remote.surface.port) in str(error.value)
    assert "port" in error.value.hint


def test_a_surface_that_stopped_watches_no_more_and_frees_its_port(desk, remote):
    desk.wait(remote.surface.stop())
    desk.wait(remote.surface.stop())

    desk.until(lambda: not desk.control._watchers)
    desk.start(remote.another(desk))
