import asyncio
import sys
from contextlib import asynccontextmanager

import pytest

from bridge.adapter_link import AdapterLink
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
