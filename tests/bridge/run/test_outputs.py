import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from bridge.children.supervisor import module_command
from bridge.rings.ring import RingWriter
from bridge.run.outputs import Outputs
from engine.clock import monotonic
from engine.frame import Frame

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]
SLOW = "tests.bridge.slow_recorder"


async def until(look, within=60.0):
    deadline = monotonic() + within
    while not look():
        assert monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


def test_a_recording_that_cannot_begin_is_told_and_works_when_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ring, told = f"lc-to-{os.getpid()}", []

    async def scene():
        outputs = Outputs(ring, 20.0, lambda *news: told.append(news))
        try:
            outputs.record(True)
            await until(lambda: told)
            assert told[0][0] == "record"
            assert f"there is no ring named {ring}; start" in told[0][1]
            with RingWriter.create(ring, 320, 192):
                outputs.record(True)
                await until(lambda: [status.error for status in outputs.status] == [""])
                await until(lambda: list(tmp_path.glob("latentcast-*.mp4.part")))
                await outputs.stop()
        finally:
            await outputs.stop()

    asyncio.run(scene())
    assert len(told) == 1


def test_a_button_pressed_twice_makes_one_recording_and_once_more_on_and_off_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ring, told = f"lc-to-{os.getpid()}", []

    async def scene():
        outputs = Outputs(ring, 20.0, lambda *news: told.append(news))

        async def press(*buttons):
            for on in buttons:
                outputs.record(on)
            await asyncio.gather(*outputs._tasks)
            return len(list(tmp_path.glob("latentcast-*")))

        try:
            with RingWriter.create(ring, 320, 192) as pictures:
                assert await press(True, True) == 1
                pictures.write(Frame(np.zeros((192, 320, 3), np.uint8), monotonic(), 0))
                assert await press(False, True, True) == 2
                assert [status.name for status in outputs.status if status.state != "finishing"] == ["record"]
        finally:
            await outputs.stop()

    asyncio.run(scene())
    assert told == []


def test_the_next_recording_does_not_wait_until_the_last_one_is_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CLOSES_IN", "8")
    monkeypatch.setattr("bridge.run.outputs.module_command", lambda _, *rest: module_command(SLOW, *rest))

    async def scene(ring):
        outputs = Outputs(ring, 20.0, lambda *news: told.append(news))
        try:
            outputs.record(True)
            await until(lambda: [status.state for status in outputs.status] == ["streaming"])
            outputs.record(False)
            await until(lambda: [status.state for status in outputs.status] == ["finishing"])
            outputs.record(True)
            await until(lambda: [status.state for status in outputs.status] == ["streaming", "finishing"])
            now, before = outputs.status
            assert now.file != before.file
            assert outputs.finishing == (before,)
        finally:
            await outputs.stop()

    ring, told = f"lc-to-{os.getpid()}", []
    with RingWriter.create(ring, 320, 192) as pictures:
        pictures.write(Frame(np.zeros((192, 320, 3), np.uint8), monotonic(), 0))
        asyncio.run(scene(ring))
    assert told == []
    assert len(list(tmp_path.glob("*.mp4"))) == 2
