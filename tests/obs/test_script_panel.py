"""The script panel, loaded into the real OBS; what it sends is received by a real socket and read by our own reader."""

import socket
from pathlib import Path

import pytest

from bridge.control.control import ControlState
from bridge.obs.panel import PANEL, with_controls
from bridge.surfaces.osc.addresses import interpret, relative
from bridge.surfaces.osc.wire import read_packet
from engine.params import CONTROLS, Params
from engine.preset import load_preset
from tests.obs.lab import Lab, until

DRIVER = Path(__file__).with_name("panel_driver.lua")


class Ear:
    """Hears OSC on a port of its own."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]

    def hear(self, within=20.0):
        self.udp.settimeout(within)
        (batch,) = read_packet(self.udp.recv(65536))
        (message,) = batch.messages
        return message.address, *message.arguments

    def silent(self, for_seconds=1.0):
        try:
            return not self.hear(for_seconds)
        except TimeoutError:
            return True

    def forget(self):
        while not self.silent(0.01):
            pass


@pytest.fixture(scope="module")
def channel():
    ear = Ear()
    yield ear
    ear.udp.close()


@pytest.fixture
def ear(channel):
    channel.forget()  # what a test that failed has left
    return channel


@pytest.fixture(scope="module")
def shared(display, channel):
    """The OBS of most of these tests, with the panel."""
    lab = Lab(display)
    lab.add_script(PANEL, port=channel.port)
    with lab:
        yield lab


def test_the_panel_has_the_controls_and_looks_of_today():
    script = PANEL.read_text("utf-8")

    assert with_controls(script) == script, "run `python -m bridge.obs.panel`"


def test_hotkeys_turn_switches_over(obs, ear):
    for name in ("panic", "bypass", "freeze"):
        obs.press(f"latentcast.{name}")

        address, *arguments = ear.hear()

        assert (address, arguments) == (f"/latentcast/{name}", [])
        changed = interpret(relative(address, "/latentcast"), (), Params())
        assert changed.values == {name: True}


def test_a_hotkey_goes_through_the_looks_and_round(obs, ear):
    looks = load_preset("tiny").looks
    heard = []
    for _ in range(len(looks) + 1):
        obs.press("latentcast.next_look")
        heard.append(ear.hear())

    assert heard == [("/latentcast/prompt", look) for look in (*looks, looks[0])]


def test_a_hotkey_goes_back_through_the_looks_from_the_last_one(make_obs, ear):
    obs = make_obs()
    obs.add_script(PANEL, port=ear.port)
    obs.start()
    looks = load_preset("tiny").looks
    heard = []
    for _ in range(2):
        obs.press("latentcast.previous_look")
        heard.append(ear.hear())

    assert heard == [("/latentcast/prompt", look) for look in (looks[-1], looks[-2])]


def test_loading_the_panel_turns_no_knob(obs, ear):
    obs.press("latentcast.panic")

    assert ear.hear()[0] == "/latentcast/panic"
    assert ear.silent()


def test_properties_become_messages_that_the_bridge_understands(make_obs, ear):
    obs = make_obs()
    obs.add_script(DRIVER, panel=str(PANEL), port=ear.port)
    obs.start()
    control = ControlState(Params(), lambda action, arguments: None)

    def turned(key):
        obs.press(key)
        address, *arguments = ear.hear()
        control.set_all(interpret(relative(address, "/latentcast"), tuple(arguments), control.params).values)
        return control.params

    assert turned("test.noise").noise == 0.25
    assert turned("test.steps").steps == 3
    assert turned("test.carry").carry is True
    assert turned("test.seed").seed == 2**31 - 1
    assert turned("test.look").prompt == "pencil sketch"
    assert turned("test.type").prompt == "gold", "what is typed goes out once, when the typing has stopped"
    assert ear.silent()
    obs.press("test.names")
    for row in CONTROLS:
        until(lambda row=row: f"has {row.name} " in obs.log, 10, f"no property for {row.name}")
