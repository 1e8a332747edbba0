import asyncio
import time

import psutil
import pytest

from bridge.errors import AdapterFailed
from bridge.input import Input
from bridge.ring import RingWriter
from tests.bridge.children import ring_name

pytestmark = pytest.mark.process


def scene(work):
    """Run `work` on an input whose ring is there, and end the input."""

    async def play(ring):
        source = Input(ring, None, lambda reason: None)
        try:
            return await work(source)
        finally:
            await source.stop()

    with RingWriter.create(ring_name(), 160, 96) as ring:
        return asyncio.run(play(ring.name)), ring.name


def writers(ring):
    """The processes that write into this ring."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if one.status() != psutil.STATUS_ZOMBIE and ring in one.cmdline()]


def test_two_changes_at_once_leave_one_source_the_later_one():
    async def work(source):
        await source.open("testcard")
        await asyncio.gather(source.replace("clip"), source.replace("testcard"))
        assert source.uri == "testcard"
        assert len(writers(source._ring)) == 1

    _, ring = scene(work)
    deadline = time.monotonic() + 10
    while writers(ring):
        assert time.monotonic() < deadline, "a source was left behind"
        time.sleep(0.02)


@pytest.mark.parametrize("uri", ["nowhere.mp4", "--help", "a\0b", "\ud800"])
def test_what_does_not_open_is_said_and_the_input_stays_what_it_was(uri):
    async def work(source):
        await source.open("testcard")
        began = time.monotonic()
        with pytest.raises(AdapterFailed):
            await source.replace(uri)
        assert source.uri == "testcard"
        assert len(writers(source._ring)) == 1
        return time.monotonic() - began

    seconds, _ = scene(work)
    assert seconds < 9, "it does not take the patience one has with a camera"
