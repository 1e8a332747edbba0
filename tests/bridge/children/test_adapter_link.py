import asyncio
import sys
from contextlib import asynccontextmanager

import pytest

from bridge.children.adapter_link import AdapterLink
from bridge.errors import AdapterFailed
from engine.clock import monotonic

pytestmark = pytest.mark.process

SAY = "import json, sys\ndef say(**body): print(json.dumps(body), flush=True)\n"
CAMERA = SAY + "say(stage='loading'); say(stage='streaming'); sys.stdin.read()"
BUSY = SAY + "say(error='the camera is in use', hint='close the other program'); sys.exit(2)"
UNPLUGGED = SAY + "say(stage='streaming'); say(error='the camera is gone', hint='plug it in again'); sys.exit(1)"


@asynccontextmanager
async def adapter(code):
    failures = []
    link = AdapterLink("camera", "camera", [sys.executable, "-c", code], failures.append)
    link.start()
    try:
        yield link, failures
    finally:
        await link.stop()


def test_an_adapter_is_open_when_it_says_so():
    async def scene():
        async with adapter(CAMERA) as (link, failures):
            await link.opened(60.0)
            assert (link.on, link.status.name, link.status.kind, link.status.error) == (True, "camera", "camera", "")
        assert not link.on
        assert failures == []

    asyncio.run(scene())


def test_a_device_in_use_is_told_to_whoever_waits_for_it_and_not_tried_again():
    async def scene():
        async with adapter(BUSY) as (link, failures):
            with pytest.raises(AdapterFailed, match="the camera is in use") as error:
                await link.opened(60.0)
            assert error.value.hint == "close the other program"
            assert link.status.error == "the camera is in use; close the other program"
            assert failures == []

    asyncio.run(scene())


def test_an_output_that_gave_up_is_switched_on_again_by_asking_for_it():
    async def scene():
        async with adapter(BUSY) as (link, _):
            with pytest.raises(AdapterFailed):
                await link.opened(60.0)
            assert (link.on, link.runs) == (True, False), "it is still shown, with the reason"

            link.start()
            assert link.runs
            assert link.status.error == ""

    asyncio.run(scene())


def test_a_device_that_goes_away_later_is_told_to_everybody_and_tried_again():
    async def scene():
        async with adapter(UNPLUGGED) as (link, failures):
            await link.opened(60.0)
            deadline = monotonic() + 60
            while len(failures) < 2:
                assert monotonic() < deadline
                await asyncio.sleep(0.01)
        assert set(failures) == {"the camera is gone; plug it in again"}

    asyncio.run(scene())


def test_an_adapter_that_never_opens_is_not_waited_for_for_ever():
    async def scene():
        async with adapter("import time; time.sleep(60)") as (link, _):
            with pytest.raises(AdapterFailed, match="did not open within 0.3 s"):
                await link.opened(0.3)

    asyncio.run(scene())


HANGS = SAY + "say(stage='streaming'); say(beat=1, deadline=1.0); import time; time.sleep(600)"
WAITS = (
    SAY
    + """
import time
say(stage='streaming')
for beat in range(12):
    say(beat=beat, deadline=1.0)
    time.sleep(0.25)
say(error='12 beats', hint='')
sys.stdin.read()
"""
)
THIN = SAY + "say(stage='streaming'); say(beat=1); raise ValueError('not one picture fits')"
RECORDER = (
    SAY
    + """
import time
say(stage='streaming', device='show.mp4', part='/films/show.mp4.part')
say(beat=1, deadline={deadline})
{then}
"""
)


def test_an_adapter_that_hangs_is_said_and_started_again():
    async def scene():
        async with adapter(HANGS) as (link, failures):
            await link.opened(60.0)
            first = link._child.pid
            await until(lambda: failures)
            assert failures == ["camera gave no sign of life for 1 s; it is started again"]
            await until(lambda: link._child.pid not in (None, first) and link.status.error == "")

    asyncio.run(scene())


def test_an_adapter_that_waits_for_its_next_picture_does_not_hang():
    async def scene():
        async with adapter(WAITS) as (link, failures):
            await until(lambda: failures)
            assert failures == ["12 beats"]
            assert link._child.restarts == 0

    asyncio.run(scene())


def test_an_adapter_that_fails_in_the_same_way_at_every_start_gives_up_and_says_so():
    async def scene():
        async with adapter(THIN) as (link, failures):
            await until(lambda: not link.runs)
            assert link.status.state == "failed"
            assert "fails in the same way at every start: ValueError: not one picture fits" in failures[-1]

            link.start()
            assert link.runs

    asyncio.run(scene())


def test_a_recorder_that_hangs_is_said_with_the_file_that_is_left_and_another_is_begun():
    async def scene():
        async with adapter(RECORDER.format(deadline=1.0, then="time.sleep(600)")) as (link, failures):
            await link.opened(60.0)
            first = link._child.pid
            await until(lambda: failures)
            assert failures == [
                "camera gave no sign of life for 1 s; what was recorded until then is in /films/show.mp4.part; "
                "it is started again"
            ]
            await until(lambda: link._child.pid not in (None, first) and link.status.error == "")

    asyncio.run(scene())


def test_people_see_that_a_recording_is_being_finished():
    slow = "sys.stdin.read(); time.sleep(3)"

    async def scene():
        async with adapter(RECORDER.format(deadline=10.0, then=slow)) as (link, failures):
            await link.opened(60.0)
            assert (link.status.state, link.status.file) == ("streaming", "show.mp4")
            stop = asyncio.create_task(link.stop())
            await until(lambda: link.status.state == "finishing")
            await stop

            assert failures == [], "it took longer than others have for their end, and was let"
            assert not link.finishing

    asyncio.run(scene())


def test_a_recording_that_people_do_not_wait_for_is_said_with_what_is_left_of_it():
    async def scene():
        async with adapter(RECORDER.format(deadline=10.0, then="time.sleep(600)")) as (link, failures):
            await link.opened(60.0)
            stop = asyncio.create_task(link.stop())
            await until(lambda: link.finishing)
            link.kill()
            await stop

            (said,) = failures
            assert "what was recorded until then is in /films/show.mp4.part" in said

    asyncio.run(scene())


async def until(look, within=60.0):
    deadline = monotonic() + within
    while not look():
        assert monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)
