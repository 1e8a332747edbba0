"""The script panel, loaded into the real OBS; what it sends is received by a real socket and read by our own reader."""

import socket
from pathlib import Path

import pytest

from bridge.control import ControlState
from bridge.obs.panel import PANEL, with_controls
from bridge.surfaces.osc_space import interpret, relative
from bridge.surfaces.osc_wire import read_packet
from engine.params import CONTROLS, Params
from engine.preset import load_preset
from tests.obs.lab import Refused, until

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


@pytest.fixture
def ear():
    ear = Ear()
    yield ear
    ear.udp.close()


def press(obs, key):
    """Press a hotkey; it is there a moment after OBS answers."""

    def pressed():
        try:
            return obs.call("TriggerHotkeyByName", hotkeyName=key) is not None
        except Refused:
            return False

    until(pressed, 20, f"there is no hotkey {key}\n{obs.log[-2000:]}")


@pytest.fixture
def obs(make_obs, ear):
    lab = make_obs()
    lab.add_script(PANEL, port=ear.port)
    lab.start()
    return lab


def test_the_panel_has_the_controls_and_looks_of_today():
    script = PANEL.read_text("utf-8")

    assert with_controls(script) == script, "run `python -m bridge.obs.panel`"


def test_hotkeys_turn_switches_over(obs, ear):
    for name in ("panic", "bypass", "freeze"):
        press(obs, f"latentcast.{name}")

        address, *arguments = ear.hear()

        assert (address, arguments) == (f"/latentcast/{name}", [])
        changed = interpret(relative(address, "/latentcast"), (), Params())
        assert changed.values == {name: True}


def test_a_hotkey_goes_through_the_looks_and_round(obs, ear):
    looks = load_preset("tiny").looks
    heard = []
    for _ in range(len(looks) + 1):
        press(obs, "latentcast.next_look")
        heard.append(ear.hear())

    assert heard == [("/latentcast/prompt", look) for look in (*looks, looks[0])]


def test_a_hotkey_goes_back_through_the_looks_from_the_last_one(obs, ear):
    looks = load_preset("tiny").looks
    heard = []
    for _ in range(2):
        press(obs, "latentcast.previous_look")
        heard.append(ear.hear())

    assert heard == [("/latentcast/prompt", look) for look in (looks[-1], looks[-2])]


def test_loading_the_panel_turns_no_knob(obs, ear):
    press(obs, "latentcast.panic")

    assert ear.hear()[0] == "/latentcast/panic"
    assert ear.silent()


def test_properties_become_messages_that_the_bridge_understands(make_obs, ear):
    obs = make_obs()
    obs.add_script(DRIVER, panel=str(PANEL), port=ear.port)
    obs.start()
    control = ControlState(Params(), lambda action, arguments: None)

    def turned(key):
        press(obs, key)
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
    press(obs, "test.names")
    for row in CONTROLS:
        until(lambda row=row: f"has {row.name} " in obs.log, 10, f"no property for {row.name}")
