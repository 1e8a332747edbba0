import asyncio
import time

import psutil
import pytest

from bridge.errors import AdapterFailed
from bridge.rings.ring import RingReader, RingWriter
from bridge.run.input import Input
from engine.clock import monotonic
from tests.bridge.child_processes import ring_name
from tests.bridge.films import make_film

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def generous_timeouts(monkeypatch):
    """More than people have, since the machine may be busy."""
    monkeypatch.setattr("bridge.run.input.OPEN_TIMEOUT", 60.0)


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
    deadline = monotonic() + 60
    while writers(ring):
        assert monotonic() < deadline, "a source was left behind"
        time.sleep(0.02)


def test_what_people_ask_for_while_a_run_starts_is_not_taken_back():
    async def work(source):
        await asyncio.gather(source.replace("clip"), source.open("testcard"))
        assert source.uri == "clip"
        assert len(writers(source._ring)) == 1

    scene(work)


@pytest.mark.parametrize("uri", ["nowhere.mp4", "--help", "a\0b", "\ud800"])
def test_what_does_not_open_is_said_and_the_input_stays_what_it_was(uri):
    async def work(source):
        await source.open("testcard")
        began = monotonic()
        with pytest.raises(AdapterFailed):
            await source.replace(uri)
        assert source.uri == "testcard"
        assert len(writers(source._ring)) == 1
        return monotonic() - began

    seconds, _ = scene(work)
    assert seconds < 50, "it does not take the timeout of a camera"


def test_when_what_there_was_before_is_gone_too_both_are_said_and_there_is_no_input(tmp_path):
    film = make_film(tmp_path / "film.mp4")

    async def work(source):
        await source.open(str(film))
        film.unlink()
        with pytest.raises(AdapterFailed, match="nowhere.mp4 does not exist, and .*film.mp4 does not open any more"):
            await source.replace("nowhere.mp4")
        assert source.uri == ""
        await source.replace("testcard")
        assert source.uri == "testcard"

    scene(work)


def test_the_numbers_of_a_stream_go_on_when_its_input_changes():
    async def work(source):
        await source.open("testcard")
        with RingReader(source._ring) as seen:
            before = await asyncio.to_thread(last_of, seen, 10)
            await source.replace("clip")
            after = await asyncio.to_thread(last_of, seen, 10)
        assert before < after

    scene(work)


def last_of(ring, count):
    """The number of the last of so many pictures, whose numbers only grow."""
    numbers = [ring.next(timeout=60).index for _ in range(count)]
    assert numbers == sorted(set(numbers))
    return numbers[-1]
