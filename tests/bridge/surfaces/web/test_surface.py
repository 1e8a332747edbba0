import json
import re
import socket
import threading

import av
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bridge.control.control import EngineStatus, OutputStatus
from bridge.errors import BridgeError
from bridge.rings.ring import RingWriter
from bridge.surfaces.web.api import STATIC, Mailbox, to_json
from bridge.surfaces.web.preview import MAX_WIDTH, JpegEncoder
from bridge.surfaces.web.surface import WebSurface
from engine.clock import monotonic
from engine.params import CONTROLS


@pytest.fixture
def web(desk, ring_names):
    return desk.start(WebSurface(desk.control, *ring_names, port=0))


@pytest.fixture
def http(web):
    with httpx.Client(base_url=web.url, trust_env=False, timeout=60) as client:
        yield client


def listen(web, path="/ws", **options):
    return connect(f"ws://127.0.0.1:{web.port}{path}", proxy=None, max_size=None, **options)


def hear(socket, kind):
    while True:
        news = json.loads(socket.recv(timeout=60))
        if news["kind"] == kind:
            return news


def test_the_page_and_all_it_asks_for_come_from_here(http):
    page = http.get("/")

    assert page.status_code == 200
    assert "latentcast" in page.text
    for name in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        assert http.get(f"/{name}").status_code == 200
    for file in STATIC.iterdir():
        assert "://" not in re.sub(r"http://www.w3.org\S*|//\$\{location.host\}", "", file.read_text("utf-8")), file
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]


def test_an_address_that_is_not_ours_is_named_once(desk, ring_names):
    with pytest.raises(BridgeError) as error:
        desk.start(WebSurface(desk.control, *ring_names, host="192.0.2.1", port=9512))

    assert str(error.value).count("192.0.2.1") == 1
    assert "--host" in error.value.hint


def test_the_status_has_every_field_it_promises(desk, http):
    desk.call(
        desk.control.publish,
        state="streaming",
        latency_ms={"p50": 80.0, "p95": float("nan"), "p99": float("inf")},
        engine=EngineStatus(7, 1, "streaming", "cpu", "tiny"),
        outputs=(OutputStatus("recorder", "recorder", "the disk is full", "failed", "show.mp4"),),
    )

    status = json.loads(http.get("/api/status").text, parse_constant=pytest.fail)

    assert status["state"] == "streaming"
    assert status["latency_ms"] == {"p50": 80.0, "p95": None, "p99": None}
    assert status["engine"] == {"pid": 7, "restarts": 1, "stage": "streaming", "device": "cpu", "preset": "tiny"}
    assert status["outputs"] == [
        {"name": "recorder", "kind": "recorder", "error": "the disk is full", "state": "failed", "file": "show.mp4"}
    ]
    assert set(status["params"]) == {row.name for row in CONTROLS}
    assert {"fps_in", "fps_out", "dropped", "revision", "applied", "input"} < set(status)


def test_the_table_of_controls_is_served_with_values_looks_and_presets(desk, http):
    desk.call(desk.control.set, "steps", 4)

    table = http.get("/api/controls").json()

    assert [row["name"] for row in table["controls"]] == [row.name for row in CONTROLS]
    steps = next(row for row in table["controls"] if row["name"] == "steps")
    assert (steps["kind"], steps["low"], steps["high"], steps["value"]) == ("int", 1, 4, 4)
    assert "watercolor" in table["looks"]
    assert "tiny" in table["presets"]
    assert {"name": "record", "help": "Start or stop a recording in the current folder.", "takes": ["bool"]} in (
        table["actions"]
    )


def test_a_control_is_put(desk, http):
    answer = http.put("/api/controls/noise", json={"value": 1.7})

    assert answer.json() == {"name": "noise", "value": 1.0, "revision": 1}
    assert desk.control.params.noise == 1.0


@pytest.mark.parametrize(
    "name, body",
    [
        ("nosie", '{"value": 1}'),
        ("noise", '{"value": NaN}'),
        ("noise", '{"value": "loud"}'),
        ("noise", '{"value": null}'),
        ("noise", '{"value": []}'),
        ("steps", '{"value": {"a": 1}}'),
        ("steps", '{"value": ' + "9" * 5000 + "}"),
        ("prompt", '{"value": 3}'),
        ("prompt", '{"value": "half a pair: \\ud800"}'),
        ("prompt", '{"value": "nul\\u0000"}'),
        ("prompt", json.dumps({"value": "x" * 3000})),
        ("prompt", json.dumps({"value": "x" * 70000})),
        ("noise", '{"walue": 1}'),
        ("noise", '{"value": 1, "more": 2}'),
        ("noise", "{}"),
        ("noise", "[1]"),
        ("noise", "1"),
        ("noise", "{"),
        ("noise", "[" * 50000),
        ("noise", b"\xff\xfe"),
        ("noise", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_mistake_is_answered_with_a_sentence_and_a_hint(desk, http, name, body):
    answer = http.put(f"/api/controls/{name}", content=body)

    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}
    assert answer.json()["error"]
    assert desk.control.params.revision == 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(CONTROLS), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_value_breaks_it(http, row, value):
    answer = http.put(f"/api/controls/{row.name}", content=json.dumps({"value": value}))

    assert answer.status_code in (200, 422)
    json.loads(http.get("/api/status").text, parse_constant=pytest.fail)


def test_actions_are_posted(desk, http):
    assert http.post("/api/actions/reset").json() == {"done": "reset"}
    assert http.post("/api/actions/output", json={"arguments": ["stage", True]}).status_code == 200
    assert desk.performed == [("reset",), ("output", "stage", True)]


@pytest.mark.parametrize(
    "name, body, word",
    [
        ("explode", {"arguments": []}, "explode"),
        ("preset", {"arguments": []}, "preset takes text"),
        ("record", {"arguments": ["yes"]}, "record takes a switch"),
        ("preset", {"arguments": "tiny"}, "list"),
        ("input", {"arguments": ["broken"]}, "broken cannot be had"),
    ],
)
def test_an_action_that_cannot_be_is_answered_with_a_sentence(desk, http, name, body, word):
    answer = http.post(f"/api/actions/{name}", json=body)

    assert answer.status_code == 422
    assert word in answer.json()["error"]
    assert desk.performed == []


def test_whoever_listens_hears_the_status_then_every_event(desk, web):
    with listen(web) as socket:
        assert hear(socket, "status")["data"]["params"]["steps"] == 2

        desk.call(desk.control.set, "steps", 4)
        assert hear(socket, "changed") == {"kind": "changed", "data": {"steps": 4}, "revision": 1}
        desk.call(desk.control.publish, applied={"revision": 1, "frame": 80}, fps_out=float("nan"))
        assert hear(socket, "applied")["data"] == {"revision": 1, "frame": 80}
        assert hear(socket, "status")["data"]["fps_out"] is None
        desk.call(desk.control.fail, "the disk is full", "output/stage")
        assert hear(socket, "error")["data"]["reason"] == "the disk is full"


def test_a_listener_that_lags_gets_the_newest_and_holds_nothing_up(desk):
    async def lag():
        mailbox = Mailbox()
        desk.control.watch(mailbox.put)
        for step in range(1000):
            desk.control.set("noise", step / 999)
            desk.control.set("steps", 3)
        return await mailbox.take()

    (event,) = desk.wait(lag())
    assert event.data == {"noise": 1.0, "steps": 3}


def test_listeners_that_left_are_forgotten(desk, web):
    for _ in range(3):
        with listen(web) as socket:
            hear(socket, "status")

    desk.until(lambda: not desk.control._watchers)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", "http://["])
def test_another_sites_page_may_neither_turn_knobs_nor_listen(desk, web, http, origin):
    for method, path in (("PUT", "/api/controls/steps"), ("POST", "/api/actions/reset")):
        answer = http.request(method, path, json={"value": 4}, headers={"origin": origin})
        assert answer.status_code == 403
        assert set(answer.json()) == {"error", "hint"}
    for path in ("/ws", "/ws/out"):
        with pytest.raises(InvalidStatus), listen(web, path, origin=origin):
            pass
    assert desk.control.params.revision == 0
    assert desk.performed == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil", "[", ""])
def test_another_name_for_this_machine_is_not_answered_to(http, host):
    answer = http.get("/api/status", headers={"host": host})

    assert answer.status_code in (400, 403)
    assert "params" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "192.168.1.20", socket.gethostname()])
def test_this_machines_own_names_and_pages_are_served(web, http, host):
    headers = {"host": f"{host}:{web.port}", "origin": f"http://{host}:{web.port}"}

    assert http.put("/api/controls/steps", json={"value": 4}, headers=headers).status_code == 200
    with listen(web, origin=f"http://localhost:{web.port}") as ws:
        hear(ws, "status")


def test_other_sites_get_no_permission_to_read(http):
    answer = http.get("/api/status", headers={"origin": "https://evil.example"})

    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_port_in_use_is_said_in_a_sentence_that_names_the_option(desk, web, ring_names):
    with pytest.raises(BridgeError, match=str(web.port)) as error:
        desk.start(WebSurface(desk.control, *ring_names, port=web.port))

    assert "--web-port" in error.value.hint


def decode(jpeg):
    codec = av.CodecContext.create("mjpeg", "r")
    (picture,) = codec.decode(av.Packet(jpeg))
    return picture.to_ndarray(format="rgb24")


def test_pictures_keep_their_colours():
    pixels = np.zeros((96, 160, 4), np.uint8)
    for index, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]):
        pixels[:, index * 32 : index * 32 + 32, :3] = colour

    shown = decode(JpegEncoder(160, 96).encode(pixels)).astype(int)

    assert np.abs(shown - pixels[..., :3])[:, 16::32].max() < 12


def test_a_large_picture_is_shown_smaller():
    shown = decode(JpegEncoder(1920, 1080).encode(np.zeros((1080, 1920, 4), np.uint8)))

    assert shown.shape == (540, MAX_WIDTH, 3)


def test_pictures_move_and_whoever_comes_late_sees_the_newest(web, rings):
    grey = np.empty((48, 64, 4), np.uint8)
    with listen(web, "/ws/out") as early:
        for shade in (40, 200):
            grey[:] = shade
            rings["out"].write_rgba(grey, monotonic(), 0)
            assert decode(early.recv(timeout=60)).mean() == pytest.approx(shade, abs=3)


def test_a_viewer_that_never_reads_delays_nobody(web, rings):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 4), np.uint8)
    stop = threading.Event()

    def play():
        while not stop.wait(0.02):
            rings["out"].write_rgba(noise, monotonic(), 0)

    player = threading.Thread(target=play)
    player.start()
    with socket.create_connection(("127.0.0.1", web.port)) as asleep, listen(web, "/ws/out") as awake:
        asleep.sendall(
            b"GET /ws/out HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        for _ in range(30):
            awake.recv(timeout=60)
    stop.set()
    player.join()


def encoders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("preview")]


def test_pictures_are_made_only_while_somebody_watches(desk, web, rings):
    assert not encoders()
    with listen(web, "/ws/out"):
        desk.until(encoders)
    desk.until(lambda: not encoders())


def test_a_ring_may_come_late_and_come_again(web, ring_names):
    with listen(web, "/ws/out") as viewer:
        for shade, width in ((40, 64), (200, 96)):
            with RingWriter.create(ring_names[1], width, 48) as ring:
                ring.write_rgba(np.full((48, width, 4), shade, np.uint8), monotonic(), 0)
                picture = decode(viewer.recv(timeout=60))
            assert picture.shape == (48, width, 3)
            assert picture.mean() == pytest.approx(shade, abs=3)


def test_there_is_no_third_picture(web):
    with pytest.raises(InvalidStatus), listen(web, "/ws/secret"):
        pass


def test_stopping_hangs_up_quickly_and_twice_is_fine(desk, web, rings):
    with listen(web), listen(web, "/ws/out"):
        began = monotonic()
        desk.wait(web.stop())
        desk.wait(web.stop())

    assert monotonic() - began < 20  # uvicorn itself would wait for everybody to leave
    desk.until(lambda: not encoders())


def test_json_is_what_every_reader_takes():
    assert to_json({"a": float("nan"), "b": (1, "\ud800")}) == '{"a": null, "b": [1, "\\ud800"]}'
