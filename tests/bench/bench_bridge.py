"""How much the bridge itself costs: the ring against a plain copy, words on their way in, and pictures out.

python -m tests.bench.bench_bridge [--json]
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np
from pythonosc.udp_client import SimpleUDPClient

from bridge.children.engine_link import EngineLink
from bridge.control.control import ControlState
from bridge.control.metrics import Meter
from bridge.playout.playout import Playout
from bridge.rings.ring import RingReader, RingWriter
from bridge.surfaces.osc.surface import OscSurface
from engine.clock import monotonic
from engine.frame import Frame
from engine.preset import load_preset
from tests.bench.report import arguments, spread, tell

FPS = 20.0
PRESET = load_preset("tiny")


def ring_against_copy(n=200, width=1920, height=1080, slots=8):
    """ms to write and read one RGBA picture, and to copy one once between arrays that are no warmer than the ring's."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    shelves, out = np.zeros((slots, height, width, 4), np.uint8), np.empty_like(pixels)
    ours, plain = [], []
    with (
        RingWriter.create(f"lc-bench-{os.getpid()}", width, height, slots) as writer,
        RingReader(writer.name) as reader,
    ):
        for turn in range(n + 2 * slots):
            began = time.perf_counter()
            writer.write_rgba(pixels, 0.0, turn)
            assert reader.read_rgba_into(out)
            between = time.perf_counter()
            np.copyto(shelves[turn % slots], pixels)
            ours.append(1000 * (between - began))
            plain.append(1000 * (time.perf_counter() - between))
    ours, plain = ours[2 * slots :], plain[2 * slots :]  # every page was touched by then
    ratio = float(np.median(ours) / np.median(plain))
    return {"ring_ms": spread(ours), "copy_ms": spread(plain), "ratio": round(ratio, 2)}


class Bench:
    """Camera, identity engine and playout around their rings, and the desk with its OSC port."""

    def __init__(self, chunk):
        name, self.reports, self._rings = f"lc-bench-{os.getpid()}", [], ExitStack()
        self.writers = [
            self._rings.enter_context(RingWriter.create(f"{name}-{end}", PRESET.width, PRESET.height))
            for end in ("in", "wet", "out")
        ]
        names = [writer.name for writer in self.writers]
        self.control = ControlState(PRESET.params, lambda action, arguments: None)
        command = [sys.executable, "-m", "tests.bench.identity_engine", str(chunk), "--preset", PRESET.name]
        self.link = EngineLink(
            [*command, "--inbox", names[0], "--outbox", names[1]],
            self.control.params,
            on_report=self.reports.append,
            on_failure=sys.exit,
            on_stage=lambda: None,
        )
        self.osc = OscSurface(self.control, port=0)
        self.playout = Playout(*names, lambda: self.control.params, Meter())
        self.seen = []  # (moment, capture time) of every picture that came out
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._film, self._look)]

    async def __aenter__(self):
        self.link.start()
        await self.osc.start()
        self.control.watch(lambda event: self.link.update(self.control.params))
        while self.link.stage != "streaming":
            await asyncio.sleep(0.02)
        self.playout.start()
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *error):
        self._done.set()
        for thread in self._threads:
            thread.join()
        await asyncio.gather(self.link.stop(), self.osc.stop())
        self.playout.stop()
        self._rings.close()

    def _film(self):
        pixels, start, index = np.zeros((PRESET.height, PRESET.width, 3), np.uint8), monotonic(), 0
        while not self._done.wait(max(0.0, start + index / FPS - monotonic())):
            self.writers[0].write(Frame(pixels, monotonic(), index))
            index += 1

    def _look(self):
        with RingReader(self.writers[2].name) as reader:
            while not self._done.is_set():
                if (frame := reader.next(timeout=0.2)) is not None:
                    self.seen.append((monotonic(), frame.time))


async def words_in(n=40):
    """ms from an OSC message to the controls in the engine's hands."""
    took = []
    async with Bench(chunk=1) as bench:
        with SimpleUDPClient("127.0.0.1", bench.osc.port) as client:
            for turn in range(n):
                bench.reports.clear()
                sent = 1000 * monotonic()
                client.send_message("/latentcast/noise", turn / n)
                while not (bench.reports and bench.reports[-1].revision == bench.control.params.revision > turn):
                    await asyncio.sleep(0.005)
                took.append(bench.reports[-1].stages_ms["heard"] - sent)
                await asyncio.sleep(0.013)  # out of step with the frames
    return {"osc_to_engine_ms": spread(took, 1)}


async def pictures_out(chunk, seconds=12.0, settle=3.0):
    """How evenly pictures leave when the engine gives them in bursts of `chunk`, and how old they are by then."""
    async with Bench(chunk) as bench:
        await asyncio.sleep(seconds)
        seen = [pair for pair in bench.seen if pair[0] > bench.seen[0][0] + settle]
    moments = np.array([moment for moment, _ in seen])
    off = np.abs(np.diff(moments) - 1 / FPS) * 1000
    ages = [1000 * (moment - captured) for moment, captured in seen]
    return {"jitter_p99_ms": round(float(np.percentile(off, 99)), 1), "glass_to_glass_ms": spread(ages, 1)}


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    ring = ring_against_copy()
    osc = asyncio.run(words_in())
    alone, bursts = asyncio.run(pictures_out(chunk=1)), asyncio.run(pictures_out(chunk=PRESET.chunk.later))
    human = (
        f"ring 1920x1080 RGBA write+read {ring['ring_ms']['median']} ms (p95 {ring['ring_ms']['p95']}), "
        f"{ring['ratio']} plain copies; OSC to engine {osc['osc_to_engine_ms']['median']} ms; "
        f"glass to glass without a model {alone['glass_to_glass_ms']['median']} ms, "
        f"with chunks of {PRESET.chunk.later} {bursts['glass_to_glass_ms']['median']} ms; "
        f"cadence jitter p99 {bursts['jitter_p99_ms']} ms"
    )
    figures = {**ring, **osc, "single": alone, "chunks": bursts}
    tell("bridge", figures, n=200, human=human, as_json=options.json, preset=PRESET.name)


if __name__ == "__main__":
    main()
