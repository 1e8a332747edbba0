"""
Bytes to OSC messages and back. Messages are python-osc's to read and write; what it cannot be trusted with, a
datagram from anyone, is checked here first: a negative size in a bundle makes its parser loop for ever, deep nesting
exhausts the stack, and every unknown type tag writes a log line.

Source: OpenSoundControl Specification 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from pythonosc.osc_message import OscMessage, ParseError
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.errors import BridgeError

MAX_DATAGRAM = 65507  # bytes: the most UDP carries
MAX_ARGUMENTS = 64
MAX_ELEMENTS = 1024  # messages in one datagram
MAX_DEPTH = 8  # bundles within bundles
TAGS = frozenset("ifhdsTF")
_BUNDLE = b"#bundle\0"
_EPOCH = 2208988800  # seconds from 1900, where OSC counts from, to 1970, where time.time does
_IMMEDIATELY = 1


class BadPacket(BridgeError):
    """A datagram that is not OSC, or more than a surface needs of it."""


class Message(NamedTuple):
    """One OSC message: an address, and arguments that are int, float, str or bool."""

    address: str
    arguments: tuple[Any, ...] = ()


class Batch(NamedTuple):
    """Messages that take effect together, at `time` in seconds since 1970; 0.0 means at once."""

    time: float
    messages: tuple[Message, ...]


def read_packet(data: bytes) -> list[Batch]:
    """Read one datagram: a message is a batch of its own, a bundle one batch, bundles inside it further ones.

    Raises BadPacket.
    """
    if not data.startswith(_BUNDLE):
        return [Batch(0.0, (_read_message(data),))]
    batches = list(_read_bundle(data, depth=1))
    if sum(len(batch.messages) for batch in batches) > MAX_ELEMENTS:
        raise BadPacket("a bundle holds too many messages", f"send at most {MAX_ELEMENTS} at once")
    return batches


def write_message(address: str, *arguments: Any) -> bytes:
    """One message as a datagram. Floats go as f, or as d where f would lose whole seconds or overflow."""
    builder = OscMessageBuilder(address)
    for value in arguments:
        if isinstance(value, str):
            builder.add_arg(value.replace("\0", " ").encode("utf-8", "replace").decode())
        elif isinstance(value, float):
            builder.add_arg(value, "d" if abs(value) >= 2**24 else "f")
        else:
            builder.add_arg(value)
    datagram: bytes = builder.build().dgram
    return datagram


def _read_message(data: bytes) -> Message:
    tags = _tags(data)
    if strange := sorted(set(tags) - TAGS):
        raise BadPacket(f"an argument of type {strange[0]!r} means nothing here", "send i f h d s T or F")
    if len(tags) > MAX_ARGUMENTS:
        raise BadPacket(f"{len(tags)} arguments are too many", f"send at most {MAX_ARGUMENTS}")
    try:
        message = OscMessage(data)
    except (ParseError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise BadPacket("the datagram is no OSC message", "send OSC 1.0 over UDP") from error
    return Message(message.address, tuple(message))


def _tags(data: bytes) -> str:
    """The type tags of a message without reading its arguments."""
    if not data.startswith(b"/"):
        raise BadPacket("the datagram is neither an OSC message nor a bundle", "send OSC 1.0 over UDP")
    start = (data.find(b"\0") // 4 + 1) * 4 if b"\0" in data else len(data)
    if data[start : start + 1] != b",":
        return ""
    end = data.find(b"\0", start)
    return data[start + 1 : end if end >= 0 else len(data)].decode("latin-1")


def _read_bundle(data: bytes, depth: int) -> Iterator[Batch]:
    if depth > MAX_DEPTH:
        raise BadPacket("bundles are nested too deeply", f"nest at most {MAX_DEPTH}")
    elements = list(_elements(data))
    yield Batch(_read_time(data), tuple(_read_message(e) for e in elements if not e.startswith(_BUNDLE)))
    for element in elements:
        if element.startswith(_BUNDLE):
            yield from _read_bundle(element, depth + 1)


def _elements(data: bytes) -> Iterator[bytes]:
    at = len(_BUNDLE) + 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big", signed=True)
        if size <= 0 or size % 4 or at + 4 + size > len(data):
            raise BadPacket(f"a bundle element of {size} bytes does not fit", "send OSC 1.0 over UDP")
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _read_time(data: bytes) -> float:
    if len(data) < len(_BUNDLE) + 8:
        raise BadPacket("a bundle without its time tag", "send OSC 1.0 over UDP")
    (tag,) = struct.unpack_from(">Q", data, len(_BUNDLE))
    return 0.0 if tag == _IMMEDIATELY else max(0.0, tag / 2**32 - _EPOCH)
