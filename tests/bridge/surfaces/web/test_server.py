"""The web page's server among clients that say nothing, say it slowly, hang up, or do not speak HTTP."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from websockets.sync.client import connect

from bridge.errors import BridgeError
from bridge.surfaces.web import server
from bridge.surfaces.web.surface import WebSurface
from engine.clock import monotonic

ROOT = Path(__file__).parents[4]
SOON = 0.5  # seconds, in place of EXCHANGE


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(server, "ANSWER_TIMEOUT", SOON)
    monkeypatch.setattr(server, "READ_TIMEOUT", SOON)


@pytest.fixture
def web(desk, ring_names):
    return desk.start(WebSurface(desk.control, *ring_names, port=0))


@pytest.fixture
def clients():
    with ExitStack() as clients:
        yield clients


@pytest.fixture
def call(web, clients):
    """Connect and send some bytes."""

    def call(data=b""):
        client = clients.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=30))
        client.sendall(data)
        return client

    return call


def listen(web, path="/ws"):
    return connect(f"ws://127.0.0.1:{web.port}{path}", proxy=None, max_size=None)


def is_answered(web):
    return httpx.get(f"{web.url}/api/status", trust_env=False, timeout=30).status_code == 200


def is_cut(client):
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def request(method="GET", path="/api/status", *headers):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


def upgrade(path):
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    return request("GET", path, "Upgrade: websocket", "Connection: Upgrade", key, "Sec-WebSocket-Version: 13")


def test_connections_that_say_nothing_are_cut(hasty, web, call):
    silent = [call() for _ in range(20)]

    assert all(is_cut(client) for client in silent)
    assert is_answered(web)


@pytest.mark.parametrize(
    "beginning, drop",
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X: y\r\n"),
        (request("PUT", "/api/controls/steps", "Content-Length: 60000"), b" "),
        (request("PUT", "/api/controls/steps", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    ],
    ids=["headers", "body", "chunks"],
)
def test_a_request_that_never_ends_is_cut(hasty, desk, call, beginning, drop):
    slow, began = call(beginning), monotonic()
    with pytest.raises(ConnectionError):
        while monotonic() < began + 30:
            slow.sendall(drop)
            time.sleep(0.02)

    assert desk.control.params.revision == 0


def test_a_client_that_never_reads_its_answers_is_cut(hasty, desk, web, call):
    call(request("GET", "/page.js") * 2000)

    desk.until(lambda: web._server.server_state.connections)
    desk.until(lambda: not web._server.server_state.connections)


def test_a_websocket_that_never_reads_is_cut(hasty, desk, web, call):
    desk.call(desk.control.set, "prompt", "x" * 2000)
    call(upgrade("/ws"))
    desk.until(lambda: desk.control._watchers)
    while desk.control._watchers:
        desk.call(desk.control.publish, dropped=desk.control.status.dropped + 1)
        time.sleep(0.001)


def test_who_listens_and_who_goes_on_asking_is_not_cut(hasty, web):
    with listen(web) as ws, httpx.Client(base_url=web.url, trust_env=False, timeout=30) as http:
        until = monotonic() + 4 * SOON
        ports = set()
        while monotonic() < until:
            answer = http.get("/api/status")
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr")[1])
            time.sleep(SOON / 5)
        ws.recv(timeout=30)
        ws.send("\N{SNOWMAN}")  # nobody asked, and it is no mistake
        ws.recv(timeout=30)

    assert len(ports) == 1


def test_however_many_are_connected_and_silent_a_page_is_served(desk, web, call):
    web._server.max_connections = 8
    silent = [call() for _ in range(40)]

    assert is_answered(web)
    with listen(web) as ws:
        ws.recv(timeout=30)
    assert len(web._server.server_state.connections) <= 8
    assert is_cut(silent[0])


def test_when_all_are_listening_the_next_is_refused_and_it_is_said_once(desk, web, call, caplog):
    web._server.max_connections = 3
    with ExitStack() as pages:
        for _ in range(3):
            pages.enter_context(listen(web)).recv(timeout=30)
        for _ in range(5):
            assert is_cut(call())
    desk.until(lambda: not desk.control._watchers)

    assert is_answered(web)
    assert [record.getMessage() for record in caplog.records] == [
        "the web page has 3 connections, as many as it takes; close some pages"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are no descriptors there")
def test_connections_take_a_part_of_the_descriptors_there_are():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert server.max_connections() == 64
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


FULL = """
import asyncio, os, resource, sys
from bridge.control.control import ControlState
from bridge.surfaces.web.surface import WebSurface
from engine.params import Params

async def main():
    web = WebSurface(ControlState(Params(), lambda *_: None), "lct-none-i", "lct-none-o", port=0)
    await web.start()
    await asyncio.to_thread(print, web.port)  # a thread is there before the descriptors are gone
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    files = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        print("full", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for file in files:
        os.close(file)
    await asyncio.to_thread(sys.stdin.readline)
    await web.stop()

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="sockets are no descriptors there")
def test_a_full_table_of_descriptors_is_said_once_and_outlived():
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", FULL]
    with subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) as run:
        port = int(run.stdout.readline())
        assert run.stdout.readline() == "full\n"
        with ExitStack() as clients:
            for _ in range(20):
                clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            time.sleep(2.5)  # it has tried again by now
        run.stdin.write("\n")
        run.stdin.flush()
        answer = httpx.get(f"http://127.0.0.1:{port}/api/status", trust_env=False, timeout=30)
        _, said = run.communicate("\n", timeout=60)

    assert answer.status_code == 200
    assert said.count("\n") == 1
    assert "takes no connections for now: Too many open files" in said


@pytest.mark.parametrize(
    "data",
    [
        request("PUT", "/api/controls/steps", "Content-Length: 20") + b'{"val',
        request("POST", "/api/actions/reset", "Content-Length: 20"),
        request("PUT", "/api/controls/steps", "Transfer-Encoding: chunked") + b"zz\r\n",
        request("POST", "/api/actions/reset", "Transfer-Encoding: chunked") + b"1\r\n1\r\nzz\r\n",
        request() + b"\x16\x03\x01\x02\x00",
        request("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade"),
        request("GET", "/", "Upgrade: h2c", "Connection: Upgrade"),
        request("CONNECT", "/"),
    ],
)
def test_hang_ups_and_nonsense_leave_no_traceback(desk, web, call, caplog, data):
    for _ in range(3):
        call(data).close()

    assert_quiet(desk, web, caplog)


def test_nonsense_behind_a_request_leaves_no_traceback(desk, web, call, caplog):
    """More than one read takes, so that the request is being answered when the nonsense is seen."""
    for _ in range(3):
        client = call(request("POST", "/api/controls/steps", "Transfer-Encoding: chunked") + b"9" * 70_000)
        client.shutdown(socket.SHUT_WR)
        assert is_cut(client)

    assert_quiet(desk, web, caplog)


@pytest.mark.parametrize("frame", [b"\x81\x82\0\0\0\0\xff\xfe", b"\x81", b"\xff\xff\xff\xff", b"\x88\x81\0\0\0\0\x07"])
@pytest.mark.parametrize("path", ["/ws", "/ws/out"])
def test_nonsense_on_a_websocket_leaves_no_traceback(desk, web, call, caplog, path, frame):
    for _ in range(3):
        client = call(upgrade(path))
        assert b" 101 " in client.recv(65536)
        client.sendall(frame)
        client.close()

    assert_quiet(desk, web, caplog)


def test_news_for_a_client_that_was_cut_for_nonsense_are_no_fault_of_ours(desk, web, call):
    """They were on their way when it was cut; uvicorn would log a traceback for them."""
    client = call(upgrade("/ws"))
    assert b" 101 " in client.recv(65536)
    (connection,) = [one for one in web._server.server_state.connections if hasattr(one, "queue")]

    async def news_after_nonsense():
        connection.data_received(b"\x83\x80\0\0\0\0")  # there is no such frame
        await connection.send({"type": "websocket.send", "text": "news"})

    with pytest.raises(ClientDisconnected):
        desk.wait(news_after_nonsense())


def assert_quiet(desk, web, caplog):
    assert is_answered(web)  # connections are taken in order
    desk.until(lambda: not web._server.server_state.connections and not web._server.server_state.tasks)
    assert [record.getMessage() for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []
    assert len(caplog.records) <= 1


def test_whoever_does_not_speak_http_is_mentioned_once(desk, web, call, caplog):
    for _ in range(100):
        call(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").close()

    assert is_answered(web)  # connections are taken in order
    desk.until(lambda: not web._server.server_state.connections)
    assert len(caplog.records) == 1
    assert "does not speak HTTP" in caplog.text


def test_a_server_that_cannot_serve_is_a_sentence(desk, ring_names, monkeypatch):
    def fail(config):
        raise ImportError("No module named 'websockets'")

    monkeypatch.setattr(uvicorn.Config, "load", fail)

    with pytest.raises(BridgeError, match="websockets") as error:
        desk.start(WebSurface(desk.control, *ring_names, port=0))
    assert "install" in error.value.hint
