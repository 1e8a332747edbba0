"""Floods of what no client would send: nothing falls over, nothing grows, no picture is late."""

import asyncio
import contextlib
import json
import random
import socket
import struct
import time

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from engine.params import CONTROLS

NAMES = [row.name for row in CONTROLS]
VALUES = ["", "neon", "x" * 3000, "\0", "雪", 0, -1, 3, 1e30, float("nan"), float("inf"), True, False, 2**31 - 1]
LARGEST = 65507  # bytes of a datagram


def message(chance):
    """An OSC message with an address and arguments of its own."""
    names = [*NAMES, *(f"norm/{name}" for name in NAMES), "ping", "get", "subscribe", "unsubscribe", "reset", "no", ""]
    built = OscMessageBuilder(f"/latentcast/{chance.choice(names)}")
    for value in chance.choices(VALUES, k=chance.randrange(4)):
        built.add_arg(value)
    return built.build().dgram


def bundle(chance, depth=0):
    """Bundles in bundles, at times that are past, far ahead or no times at all."""
    parts = [bundle(chance, depth + 1) if depth < 5 and chance.random() < 0.5 else message(chance) for _ in range(3)]
    moment = chance.choice([1, 0, 2**64 - 1, int((time.time() + 2208988800 + chance.random()) * 2**32)])
    return b"#bundle\0" + struct.pack(">Q", moment) + b"".join(struct.pack(">i", len(part)) + part for part in parts)


def datagram(chance):
    kind = chance.randrange(5)
    if kind == 0:
        return chance.randbytes(chance.choice([0, 1, 4, 100, 2000, 60000]))
    good = bundle(chance) if kind == 1 else message(chance)
    if kind < 3:
        return good[:LARGEST]
    spoiled = bytearray(good)
    for _ in range(chance.randrange(1, 6)):
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    return bytes(spoiled[: chance.randrange(len(spoiled)) or None])[:LARGEST]


def test_a_hundred_thousand_datagrams(attack, figures, scaled):
    chance = random.Random(1)
    count = scaled(100_000)
    with attack() as show, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(datagram(chance), ("127.0.0.1", show.osc))
            if number % 100 == 0:
                time.sleep(0.06)  # some 1500 a second, as a fast controller
        rest(show)
        assert len(show.log.read_bytes()) < 1_000_000
    figures.update(datagrams=count)


def rest(show):
    """Controls as they were at the start: the flood may have moved any of them, and did its best to."""
    time.sleep(1)
    for name, value in {"steps": 2, "panic": False, "freeze": False, "bypass": False, "mix": 1.0, "rows": 1}.items():
        show.ask(f"controls/{name}", {"value": value}, "PUT")


def test_ten_thousand_requests(attack, figures, scaled):
    chance = random.Random(2)
    count, answers = scaled(10_000), {}
    with attack() as show:
        for _ in range(count):
            code = ask(show.web, request(chance, show.web))
            answers[code] = answers.get(code, 0) + 1
        rest(show)
        assert "Traceback" not in show.log.read_text(errors="replace")
    figures.update(requests=count, answers=answers)
    assert not [code for code in answers if code >= 500 and code != 503]


def request(chance, port):
    """A request with something wrong in it."""
    method = chance.choice(["GET", "PUT", "POST", "DELETE", "OPTIONS", "X" * 50])
    name = chance.choice([*NAMES, "no", "", "%00", "a" * 5000])
    paths = [
        "/",
        f"/api/controls/{name}",
        f"/api/actions/{name}",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/ws",
    ]
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"value": NaN}',
        json.dumps({"value": chance.choice(VALUES)}).encode(),
        b"9" * 70_000,
    ]
    bodies.append(b'{"value":' + b"[" * 3000)
    host = chance.choice([f"127.0.0.1:{port}"] * 5 + ["evil.example", "", "a" * 300])
    body = chance.choice(bodies)
    lengths = [f"Content-Length: {len(body)}"] * 5 + [
        "Content-Length: -1",
        "Transfer-Encoding: chunked",
        "Content-Length: 9",
    ]
    head = [f"{method} {chance.choice(paths)} HTTP/1.1", f"Host: {host}", chance.choice(lengths), "Connection: close"]
    if chance.random() < 0.2:
        head.append(f"Origin: {chance.choice(['null', 'http://evil.example', 'file://'])}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def ask(port, request):
    """The code of the answer; 0 if there was none, and 1 if it hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        try:
            peer.sendall(request)
            peer.shutdown(socket.SHUT_WR)
            said = peer.recv(4096)
        except OSError:
            return 1
    return int(said.split()[1]) if said.startswith(b"HTTP/") else 0


@pytest.mark.parametrize("path", ["/ws"])
def test_two_thousand_websockets(attack, figures, scaled, path):
    count = scaled(2000)
    with attack() as show:
        asyncio.run(sockets(f"ws://127.0.0.1:{show.web}{path}", count))
        rest(show)
        assert "Traceback" not in show.log.read_text(errors="replace")
    figures.update(websockets=count)


async def sockets(address, count):
    """Some at a time; one of fifty is kept open and never read."""
    chance, kept = random.Random(3), []
    for number in range(count):
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            peer = await connect(address, close_timeout=0.2, max_queue=1)
            await peer.send(chance.choice(["", "{", "x" * 70_000, b"\xff" * 100, '{"control":"steps","value":[]}']))
            kept.append(peer) if number % 50 == 0 else peer.transport.abort()
    for peer in kept:
        peer.transport.abort()
