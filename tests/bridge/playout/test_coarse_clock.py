"""Windows before Python 3.13: `time.monotonic` ticks every 15.6 ms, `time.perf_counter` and `time.sleep` are fine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
WINDOWS = """
import os, sys, time
now, doing = 100.0, []
def sleep(seconds):
    global now
    until = now + max(seconds, 1e-4)
    while doing and (moment := min(doing)[0]) <= until:
        now = max(now, moment)
        doing.remove(work := min(doing))
        work[1]()
    now = max(now, until)
time.sleep = sleep
time.perf_counter = lambda: now
time.monotonic = lambda: now // 0.0156 * 0.0156
time.perf_counter_ns, time.monotonic_ns = lambda: int(now * 1e9), lambda: int(time.monotonic() * 1e9)

import numpy as np
from bridge.control.metrics import Meter
from bridge.playout.playout import Playout
from bridge.rings.ring import RingReader, RingWriter
from bridge.adapters.source_main import pump
from engine.clock import monotonic
from engine.frame import Frame
from engine.params import Params

FPS, SECONDS = 30, 10
PIXELS = np.zeros((48, 64, 3), np.uint8)
names = [f"lc-test-{os.getpid()}-{which}" for which in ("dry", "wet", "out")]
rings = [RingWriter.create(name, 64, 48) for name in names]
"""
PLAYOUT = """
def film(index=0):
    rings[0].write(Frame(PIXELS, monotonic(), index))
    doing.append((100 + (index + 1) / FPS, lambda: film(index + 1)))

def watch():
    while (frame := reader.next()) is not None:
        print(now, frame.index)
    if now > 100 + SECONDS:
        playout._stopping.set()
    doing.append((now + 1e-3, watch))

playout = Playout(*names, Params, Meter())
playout._dry, playout._wet = RingReader(names[0]), RingReader(names[1])
playout._out, reader = RingWriter.attach(names[2]), RingReader(names[2])
film()
watch()
playout._run()
"""
SOURCE = """
class Film:
    index = -1
    def read(self, timeout):
        self.index += 1
        return Frame(PIXELS, 101 + self.index / FPS, self.index)

pump(Film(), 0.0, lambda: now > 100 + SECONDS, lambda frame: print(now, frame.index))
"""
END = """
for ring in rings:
    ring.close()
"""


@pytest.mark.process
@pytest.mark.parametrize("work", [PLAYOUT, SOURCE], ids=["playout", "source"])
def test_where_only_the_coarse_clock_ticks_pictures_still_leave_evenly(work):
    command = [sys.executable, "-c", WINDOWS + work + END]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    shown = np.array([line.split() for line in done.stdout.splitlines()], float)
    gaps = np.diff(shown[shown[:, 0] > 102, 0])

    assert len(gaps) > 200
    assert np.abs(gaps - 1 / 30).max() < 0.003
    assert set(np.diff(shown[shown[:, 0] > 102, 1])) == {1.0}
