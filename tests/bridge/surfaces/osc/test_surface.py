import re
import shutil
import socket
import subprocess
import time
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage

from bridge.control.control import EngineStatus
from bridge.errors import BridgeError
from bridge.surfaces.osc.surface import OscSurface
from bridge.surfaces.osc.wire import read_packet, write_message
from engine.clock import monotonic
from engine.params import CONTROLS

ROOT = "/latentcast"


class Phone:
    """Something that speaks OSC: sends from one port, listens on the same or another."""

    def __init__(self, to=None):
        self.to = to
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.settimeout(30)
        self.port = self._udp.getsockname()[1]

    def send(self, name, *arguments, root=ROOT):
        self.send_bytes(write_message(f"{root}/{name}", *arguments))

    def send_bytes(self, data):
        self._udp.sendto(data, ("127.0.0.1", self.to))

    def bundle(self, *messages, at=IMMEDIATELY):
        builder = OscBundleBuilder(at)
        for name, *arguments in messages:
            builder.add_content(OscMessage(write_message(f"{ROOT}/{name}", *arguments)))
        self.send_bytes(builder.build().dgram)

    def next(self):
        (batch,) = read_packet(self._udp.recv(65536))
        ((address, arguments),) = batch.messages
        return address, arguments

    def hear(self, name):
        """The arguments of the next message to this name; what else there is, heartbeats for one, passes by."""
        while True:
            address, arguments = self.next()
            if address == f"{ROOT}/{name}":
                return arguments

    def up_to(self, name):
        """Every message that comes before one to this name."""
        return list(takewhile(lambda message: message[0] != f"{ROOT}/{name}", iter(self.next, None)))

    def close(self):
        self._udp.close()


@pytest.fixture
def phone():
    phone = Phone()
    yield phone
    phone.close()


@pytest.fixture
def ear():
    ear = Phone()
    yield ear
    ear.close()


@pytest.fixture
def osc(desk, phone, ear):
    surface = desk.start(OscSurface(desk.control, port=0, feedback_port=ear.port))
    phone.to = surface.port
    ear.hear(CONTROLS[-1].name)  # all of them, as they are
    return surface


@pytest.mark.parametrize(
    "name, arguments, control, value",
    [
        ("prompt", ["neon"], "prompt", "neon"),
        ("PROMPT", ["neon"], "prompt", "neon"),
        ("steps", [3], "steps", 3),
        ("steps", [3.0], "steps", 3),
        ("steps", ["3"], "steps", 3),
        ("steps", [2**40], "steps", 4),
        ("noise", [1.7], "noise", 1.0),
        ("noise", [1.0e300], "noise", 1.0),
        ("freeze", [True], "freeze", True),
        ("freeze", [1.0], "freeze", True),
        ("freeze", [], "freeze", True),
        ("norm/noise", [0.5], "noise", 0.5),
        ("norm/steps", [1.0], "steps", 4),
        ("Norm/Fade", [0.25], "fade", 7.5),
        ("prompts", ["neon", 0.75, "ink", 1], "prompt", "neon:0.75 | ink:1"),
        ("prompts", ["neon", 0.75], "prompt", "neon"),
    ],
)
def test_every_control_takes_what_osc_senders_send(desk, osc, phone, ear, name, arguments, control, value):
    phone.send(name, *arguments)

    ear.hear(control)
    assert getattr(desk.control.params, control) == value
    assert desk.control.params.revision == 1


def test_a_switch_without_an_argument_turns_over_and_back(desk, osc, phone, ear):
    for expected in (True, False):
        phone.send("bypass")
        assert ear.hear("bypass") == (expected,)


def test_a_prompt_and_its_fade_arrive_together(desk, osc, phone, ear):
    phone.send("prompt", "neon", 2.5)

    ear.hear("fade")
    params = desk.control.params
    assert (params.prompt, params.fade, params.revision) == ("neon", 2.5, 1)


@pytest.mark.parametrize(
    "name, arguments, done",
    [
        ("reset", [], ("reset",)),
        ("reset", [1.0], ("reset",)),
        ("engine/restart", [], ("restart",)),
        ("preset", ["tiny"], ("preset", "tiny")),
        ("input", ["camera:0"], ("input", "camera:0")),
        ("output/Stage", [True], ("output", "Stage", True)),
        ("output/stage", [0.0], ("output", "stage", False)),
        ("record", [1], ("record", True)),
    ],
)
def test_actions_are_carried_out(desk, osc, phone, name, arguments, done):
    phone.send(name, *arguments)

    desk.until(lambda: desk.performed)
    assert desk.performed == [done]


@pytest.mark.parametrize("name, done", [("reset", "reset"), ("engine/restart", "restart")])
def test_a_button_that_is_pressed_and_let_go_acts_once(desk, osc, phone, name, done):
    for value in (1.0, 0.0, 1, 0, True, False):
        phone.send(name, value)
    phone.send("ping")

    phone.hear("pong")
    assert desk.performed == [(done,)] * 3


def test_a_controller_that_sends_back_what_it_hears_falls_silent(desk, osc, phone, ear):
    controls = {f"{ROOT}/{end}{row.name}" for row in CONTROLS for end in ("", "norm/")}
    desk.call(desk.control.set_all, {"noise": 0.71, "fade": 0.5, "steps": 3, "prompt": "ink", "bypass": True})
    echoes, deadline = 0, monotonic() + 1.5
    while monotonic() < deadline:
        address, arguments = ear.next()
        if address in controls:
            echoes, deadline = echoes + 1, monotonic() + 1.5
            if echoes < 20:  # a hand that goes on moving it meanwhile
                phone.send("fade", 0.5 + echoes / 7)
            phone.send_bytes(write_message(address, *arguments))
        assert echoes < 200, "round and round it goes"

    assert desk.control.params.noise == 0.71


def test_a_fader_that_moves_is_told_now_and_then_and_where_it_stops(desk, osc, phone, ear):
    for step in range(300):
        phone.send("noise", step / 300)
        time.sleep(0.003)
    phone.send("noise", 1.0)
    told = [ear.hear("noise")[0]]
    while told[-1] != 1.0:
        told.append(ear.hear("noise")[0])

    assert len(told) < 250
    assert told == sorted(told)


def test_whoever_comes_late_is_told_how_every_control_stands(desk, osc, phone):
    desk.call(desk.control.set_all, {"noise": 0.25, "prompt": "ink"})
    phone.send("subscribe")
    phone.send("ping")
    told = dict(phone.up_to("pong"))

    assert (told[f"{ROOT}/noise"], told[f"{ROOT}/norm/noise"], told[f"{ROOT}/prompt"]) == ((0.25,), (0.25,), ("ink",))
    assert {f"{ROOT}/{row.name}" for row in CONTROLS} <= set(told)


def test_the_listener_that_is_always_there_is_told_at_the_start(desk, ear):
    desk.call(desk.control.set, "noise", 0.25)
    desk.start(OscSurface(desk.control, port=0, feedback_port=ear.port))

    assert ear.hear("noise") == (0.25,)
    ear.hear(CONTROLS[-1].name)


@pytest.mark.parametrize(
    "name, arguments, word",
    [
        ("nosie", [1], "did you mean noise"),
        ("noise", [], "one value"),
        ("noise", [1, 2], "one value"),
        ("noise", [float("nan")], "noise"),
        ("noise", ["loud"], "noise"),
        ("freeze", ["?"], "freeze"),
        ("prompt", [], "text"),
        ("prompt", [3], "prompt"),
        ("prompt", ["x" * 60000], "too long"),
        ("prompts", ["neon"], "pairs"),
        ("prompts", ["neon", "much"], "number"),
        ("prompts", ["neon", -1.0, "ink", 1.0], "weigh"),
        ("prompts", ["neon", float("nan")], "weigh"),
        ("norm/prompt", [1], "range"),
        ("norm/nosie", [1], "nosie"),
        ("norm/noise", ["x"], "0 to 1"),
        ("output/stage", [], "one value"),
        ("record", ["maybe"], "switch"),
        ("preset", [3], "preset takes"),
        ("input", ["broken"], "take another"),
        ("get", ["nosie"], "cannot be read"),
        ("get", [], "cannot be read"),
        ("subscribe", [0], "port"),
        ("subscribe", ["me"], "port"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence_and_its_address(desk, osc, phone, name, arguments, word):
    phone.send(name, *arguments)

    reason, address = phone.hear("error")
    assert word in reason
    assert address == f"{ROOT}/{name}"
    assert desk.control.params.revision == 0


def test_an_address_outside_the_root_is_refused(osc, phone):
    phone.send("noise", 1.0, root="/composition")

    assert "/latentcast" in phone.hear("error")[0]


def test_the_root_is_configurable(desk, phone, ear):
    phone.to = desk.start(OscSurface(desk.control, port=0, feedback_port=ear.port, root="/stage/left")).port

    phone.send("steps", 4, root="/Stage/Left")

    desk.until(lambda: desk.control.params.steps == 4)


def test_a_bundle_is_one_change(desk, osc, phone, ear):
    phone.bundle(("steps", 4), ("noise", 0.5), ("bypass",), ("bypass",), ("reset",))

    desk.until(lambda: desk.performed)
    params = desk.control.params
    assert (params.steps, params.noise, params.bypass, params.revision) == (4, 0.5, False, 1)


def test_a_bundle_with_one_mistake_changes_nothing(desk, osc, phone):
    phone.bundle(("steps", 4), ("noise", "loud"), ("reset",))

    assert phone.hear("error")[1] == f"{ROOT}/noise"
    assert desk.control.params.revision == 0
    assert not desk.performed


def test_a_time_tag_in_the_future_is_waited_for_and_blocks_nobody(desk, osc, phone, ear):
    sent = monotonic()
    phone.bundle(("noise", 0.25), at=time.time() + 5)
    phone.send("ping")

    phone.hear("pong")
    assert desk.control.params.revision == 0
    ear.hear("noise")
    assert monotonic() - sent > 4.9


@pytest.mark.parametrize("ahead", [-3600.0, -0.001, 3600.0])
def test_a_time_tag_that_has_passed_or_is_absurd_means_now(desk, osc, phone, ear, ahead):
    phone.bundle(("noise", 0.25), at=time.time() + ahead)

    assert ear.hear("noise") == (0.25,)


def test_what_waits_for_its_time_is_bounded(osc, phone):
    for _ in range(1100):
        phone.bundle(("noise", 0.25), at=time.time() + 9)

    assert "waiting" in phone.hear("error")[0]


def test_every_change_is_echoed_at_its_own_address(desk, osc, ear):
    desk.call(desk.control.set_all, {"noise": 0.25, "prompt": "ink"})

    assert ear.hear("noise") == (0.25,)
    assert ear.hear("norm/noise") == (0.25,)
    assert ear.hear("prompt") == ("ink",)


def test_a_change_is_reported_applied_once_with_the_frame_that_shows_it(desk, osc, ear):
    desk.call(desk.control.set, "steps", 4)
    desk.call(desk.control.set, "noise", 0.5)
    desk.call(desk.control.publish, applied={"revision": 1, "frame": 100})
    assert ear.hear("applied") == (f"{ROOT}/steps", 100)

    desk.call(desk.control.publish, applied={"revision": 7, "frame": 140})
    assert ear.hear("applied") == (f"{ROOT}/noise", 140)

    desk.call(desk.control.set, "seed", 4)
    desk.call(desk.control.publish, applied={"revision": 8, "frame": 180})
    assert ear.hear("applied") == (f"{ROOT}/seed", 180)


def test_the_heart_beats_every_second_and_tells_how_things_stand(desk, osc, ear):
    desk.call(desk.control.publish, fps_out=20.5, dropped=3, latency_ms={"p50": 80.0, "p95": 90.0, "p99": 99.0})

    (first,), (second,) = ear.hear("heartbeat"), ear.hear("heartbeat")
    heard = dict(ear.next() for _ in range(7))

    assert second == first + 1
    assert heard[f"{ROOT}/state"] == ("offline",)
    assert heard[f"{ROOT}/stats/fps/out"] == (20.5,)
    assert heard[f"{ROOT}/stats/latency/p99"] == (99.0,)
    assert heard[f"{ROOT}/stats/dropped"] == (3,)


def test_news_is_told_at_once(desk, osc, ear):
    ear.hear("stats/dropped")

    desk.call(desk.control.publish, state="degraded", engine=EngineStatus(restarts=1))
    assert ear.next() == (f"{ROOT}/state", ("degraded",))
    desk.call(desk.control.fail, "the disk is full; free some space", "output/recorder")
    assert ear.next() == (f"{ROOT}/error", ("the disk is full; free some space", "output/recorder"))


def test_a_ping_comes_back_with_what_it_carried_and_the_time(osc, phone):
    phone.send("ping", 7, "x", 1.5, True)

    *echoed, now = phone.hear("pong")
    assert echoed == [7, "x", 1.5, True]
    assert now == pytest.approx(time.time(), abs=5)


def test_answers_also_reach_where_the_asking_machine_listens(osc, phone, ear):
    phone.send("ping", 7)

    assert ear.hear("pong")[0] == 7


@pytest.mark.parametrize(
    "asked, name, value",
    [
        ("/latentcast/steps", "steps", (2,)),
        ("STEPS", "steps", (2,)),
        ("norm/noise", "norm/noise", (0.8,)),
        ("/latentcast/state", "state", ("offline",)),
        ("stats/dropped", "stats/dropped", (0,)),
        ("prompt", "prompt", ("watercolor",)),
    ],
)
def test_values_can_be_asked_for(osc, phone, asked, name, value):
    phone.send("get", asked)

    assert phone.hear(name) == pytest.approx(value)


def test_subscribers_hear_changes_until_they_leave(desk, osc, phone):
    other = Phone(osc.port)
    phone.send("subscribe", other.port)
    other.hear(CONTROLS[-1].name)  # all of them, as they are
    desk.call(desk.control.set, "steps", 4)
    assert other.hear("steps") == (4,)

    phone.send("unsubscribe")
    phone.send("ping")
    phone.hear("pong")
    desk.call(desk.control.set, "steps", 1)
    other._udp.settimeout(0.2)
    with pytest.raises(TimeoutError):
        other.hear("steps")
    other.close()


def test_a_subscription_without_a_port_answers_where_it_came_from(desk, osc, phone):
    phone.send("subscribe")
    phone.send("ping")
    phone.hear("pong")
    desk.call(desk.control.set, "steps", 4)

    assert phone.hear("steps") == (4,)


def test_the_surface_cannot_be_made_to_talk_to_itself(desk, osc, phone, free_port):
    phone.send("subscribe", osc.port)

    assert "port" in phone.hear("error")[0]
    port = free_port()
    with pytest.raises(BridgeError, match="itself"):
        desk.start(OscSurface(desk.control, port=port, feedback_port=port))


def test_a_flood_leaves_the_last_value(desk, osc, phone, ear):
    for step in range(2000):
        phone.send("noise", step / 1999)
        if step % 50 == 49:  # as fast as the receiver reads, or UDP itself drops some
            phone.send("ping")
            phone.hear("pong")

    assert desk.control.params.noise == 1.0


def test_a_port_in_use_is_said_in_a_sentence_that_names_the_option(desk, osc):
    with pytest.raises(BridgeError, match=str(osc.port)) as error:
        desk.start(OscSurface(desk.control, port=osc.port, feedback_port=1))

    assert "--osc-port" in error.value.hint


def test_a_host_that_is_not_ours_is_said_in_a_sentence(desk):
    with pytest.raises(BridgeError) as error:
        desk.start(OscSurface(desk.control, host="203.0.113.7", port=0))

    assert "--osc-host" in error.value.hint


def test_stopping_twice_is_fine(desk, osc):
    desk.wait(osc.stop())
    desk.wait(osc.stop())


def test_64_kib_of_nonsense_is_answered_and_survived(osc, phone):
    for data in (b"\xff" * 65507, b"/" * 65507, b"#bundle\0" + b"\0" * 65000, b"/a\0\0," + b"[" * 65000):
        phone.send_bytes(data)
        assert phone.hear("error")[0]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([b"", f"{ROOT}/prompt".encode() + b"\0,sf\0", b"#bundle\0"]))
def test_no_bytes_stop_the_surface(osc, phone, data, beginning):
    phone.send_bytes(beginning + data)
    phone.send("ping", "still here")

    assert phone.hear("pong")[0] == "still here"


@pytest.mark.process
@pytest.mark.skipif(
    shutil.which("oscsend") is None, reason="liblo's oscsend is not installed (apt install liblo-tools)"
)
def test_liblo_speaks_to_it(desk, osc, ear):
    command = ["oscsend", "127.0.0.1", str(osc.port), f"{ROOT}/prompt", "sf", "pencil sketch", "1.5"]
    subprocess.run(command, check=True, timeout=10)

    assert ear.hear("prompt") == ("pencil sketch",)
    assert ear.hear("fade") == (1.5,)


def test_every_address_in_the_manual_is_there(desk, osc, phone, ear):
    page = (Path(__file__).parents[4] / "docs" / "osc.md").read_text("utf-8")
    sent, told = (
        {name for row in re.findall(r"^\| (`/.*?) \|", part, re.M) for name in re.findall(r"`/([\w/]+)`", row)}
        for part in page.split("## What is told")
    )

    for name in sent - {"NAME", "norm/NAME", "output/NAME"}:
        phone.send(name, *(["state"] if name in ("get", "preset", "input") else [1]))
    phone.send("ping", "last")
    heard = [phone.next()]
    while heard[-1][1][:1] != ("last",):
        heard.append(phone.next())

    assert not [reason for _, (reason, *_) in heard if "there is nothing at" in str(reason)]
    for name in told - {"NAME", "norm/NAME", "stats/output/NAME", "applied", "error"}:
        ear.hear(name)
