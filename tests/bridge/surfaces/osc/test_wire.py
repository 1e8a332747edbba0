import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage

from bridge.surfaces.osc.wire import BadPacket, Message, read_packet, write_message

BUNDLE = b"#bundle\0" + struct.pack(">Q", 1)


def element(content):
    return struct.pack(">i", len(content)) + content


@given(st.lists(st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(width=32), max_size=20))
def test_what_is_written_is_read_back(arguments):
    plain = [value.replace("\0", " ") if isinstance(value, str) else value for value in arguments]
    (batch,) = read_packet(write_message("/a/b", *plain))

    assert batch.time == 0.0
    assert [str(value) for value in batch.messages[0].arguments] == [str(value) for value in plain]


@pytest.mark.parametrize("text", ["half \ud800 a pair", "nul\0inside"])
def test_text_that_osc_cannot_carry_is_carried_as_far_as_it_goes(text):
    (batch,) = read_packet(write_message("/a", text))

    assert batch.messages[0].arguments[0].startswith(text[:3])


@pytest.mark.parametrize("value", [1.0e300, -math.inf, 1.7e9 + 0.25])
def test_large_numbers_keep_their_value(value):
    assert read_packet(write_message("/a", value))[0].messages[0].arguments == (value,)


def test_a_bundle_is_one_batch_and_a_bundle_inside_it_another():
    inner, outer = OscBundleBuilder(2_000_000_000), OscBundleBuilder(0)
    inner.add_content(OscMessage(write_message("/late", 1)))
    outer.add_content(OscMessage(write_message("/now", 1)))
    outer.add_content(inner.build())
    outer.add_content(OscMessage(write_message("/too", 2)))

    first, second = read_packet(outer.build().dgram)

    assert first.time == 0.0
    assert first.messages == (Message("/now", (1,)), Message("/too", (2,)))
    assert second.time == pytest.approx(2_000_000_000)


def nested(depth):
    data = BUNDLE
    for _ in range(depth):
        data = BUNDLE + element(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"#bundle\0",
        BUNDLE + b"\0",
        BUNDLE + struct.pack(">i", -4),  # python-osc alone never returns from this one
        BUNDLE + struct.pack(">i", 0),
        BUNDLE + struct.pack(">i", 400) + b"/a\0\0",
        BUNDLE + element(b"what"),
        nested(2000),
        BUNDLE + element(b"/a\0\0") * 5000,
        b"/a\0\0,b\0\0\0\0\0\4abcd",
        b"/a\0\0,[[[",
        b"/a\0\0,i\0\0",
        b"/a\0\0,s\0\0",
        b"/a\0\0,s\0\0\xff\xff\xff\0",
        b"/\xff\0\0",
        b"/a\0\0nope",
        b"/a\0\0," + b"T" * 60000,
        b"/" * 65507,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_no_osc_is_refused_in_one_sentence(data):
    with pytest.raises(BadPacket) as error:
        read_packet(data)

    assert error.value.hint


@given(st.binary(max_size=200), st.sampled_from([b"", b"/a\0\0,", b"/steps\0\0,i\0\0", BUNDLE, b"#bundle\0"]))
def test_any_bytes_are_read_or_refused(data, beginning):
    try:
        batches = read_packet(beginning + data)
    except BadPacket:
        return

    assert all(message.address.startswith("/") for batch in batches for message in batch.messages)
