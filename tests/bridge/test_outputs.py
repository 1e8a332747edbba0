import asyncio
import os
import time
from pathlib import Path

import pytest

from bridge.outputs import Outputs
from bridge.ring import RingWriter

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


async def until(look, within=60.0):
    deadline = time.monotonic() + within
    while not look():
        assert time.monotonic() < deadline, "it never happened"
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
