"""
What the way through a stock OBS costs: our TCP listener -> Media source -> OBS's program -> Custom Output -> our TCP
listener. Called by tests/bench/bench_obs.py; by itself, `python -m tests.bench.obs_stock` prints the same figures.

The pictures bear their number in bars, so that each is known again on the way out. The way back costs two to three of
OBS's own frames, since it goes through an encoder's queue.
"""

import argparse
import time
from contextlib import contextmanager
from threading import Event, Thread

import numpy as np

from bridge.adapters.obs import ObsSink, ObsSource
from bridge.adapters.testcard import draw_card, draw_number, read_number
from bridge.obs.stock import PICTURE, media_settings, program_settings
from engine.frame import Frame
from tests.bench.report import emit
from tests.obs.lab import SCENE, Display, Lab, free_port, until


@contextmanager
def stock_obs(display, width, height, obs_fps):
    """A stock OBS with our picture on its program and its record button sending to us: (OBS, sink, source)."""
    into, back = free_port(), free_port()
    profile = {}
    for key, value in program_settings(back).items():
        section, _, name = key.partition("/")
        profile.setdefault(section, {})[name] = value
    sink, source = ObsSink(str(into)), ObsSource(str(back))
    with Lab(display, (width, height), obs_fps, profile) as obs:
        try:
            sink.open(width, height, obs_fps)
            source.open(width, height, obs_fps)
            settings = media_settings(into)
            made = {"sceneName": SCENE, "inputName": PICTURE, "inputKind": "ffmpeg_source", "inputSettings": settings}
            obs.call("CreateInput", **made)
            obs.call("StartRecord")
            yield obs, sink, source
        finally:
            sink.close()
            source.close()


class Sender(Thread):
    """Sends numbered pictures at a steady rate; `sent` has the moment of each."""

    def __init__(self, sink, width, height, fps):
        super().__init__(daemon=True)
        self.sent, self.over = {}, Event()
        self._sink, self._fps = sink, fps
        self._card = draw_card(width, height)

    def run(self):
        due, number = time.monotonic(), 0
        while not self.over.wait(max(0.0, due - time.monotonic())):
            number += 1
            draw_number(self._card, number % 2**16)
            self.sent[number % 2**16] = time.monotonic()
            self._sink.send(Frame(self._card.copy(), self.sent[number % 2**16], number))
            due += 1 / self._fps

    def close(self):
        self.over.set()
        self.join()


def loop(display, width=512, height=288, fps=25.0, obs_fps=60, seconds=10.0):
    """Latency of the loop in ms, and how many of our pictures never came back.

    A picture is lost if a later one came back and it did not. OBS shows the newest at each of its frames, so at
    `fps` below `obs_fps` none should be.
    """
    with stock_obs(display, width, height, obs_fps) as (obs, sink, source):
        sender = Sender(sink, width, height, fps)
        sender.start()
        try:
            until(lambda: source.read(0.1), 60, lambda: f"nothing came back\n{obs.log[-2000:]}")
            time.sleep(2.0)  # until the start's queues are empty
            seen, ends = {}, time.monotonic() + seconds
            while time.monotonic() < ends:
                if (frame := source.read(0.1)) is not None:
                    seen.setdefault(read_number(frame.pixels), frame.time)
            stats = obs.call("GetStats")
        finally:
            sender.close()
    latencies = [1e3 * (moment - sender.sent[number]) for number, moment in seen.items() if number in sender.sent]
    numbers = sorted(number for number in seen if number in sender.sent)
    span = numbers[-1] - numbers[0] + 1
    return {
        "loop_ms": {"median": float(np.median(latencies)), "p95": float(np.percentile(latencies, 95))},
        "came_back": len(numbers),
        "lost": span - len(numbers),
        "lost_share": (span - len(numbers)) / span,
        "obs_render_ms": stats["averageFrameRenderTime"],
        "obs_skipped": stats["renderSkippedFrames"],
        "obs_frames": stats["renderTotalFrames"],
    }


def one_way_back(display, width=512, height=288, obs_fps=60, seconds=6.0):
    """What share of OBS's program frames reach `--in obs`, and how evenly: frames a second, longest gap in ms."""
    with stock_obs(display, width, height, obs_fps) as (_, sink, source):
        sink.send(Frame(draw_card(width, height), time.monotonic(), 0))
        until(lambda: source.read(0.1), 60)
        moments, ends = [], time.monotonic() + seconds
        while time.monotonic() < ends:
            if (frame := source.read(0.1)) is not None:
                moments.append(frame.time)
    gaps = np.diff(moments)
    return {"fps": len(gaps) / (moments[-1] - moments[0]), "gap_ms_max": 1e3 * float(gaps.max())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    display = Display()
    try:
        for width, height, fps, obs_fps in ((512, 512, 25.0, 60), (1280, 720, 25.0, 30)):
            figures = loop(display, width, height, fps, obs_fps, seconds)
            emit("obs_stock", {"size": f"{width}x{height}", "fps": fps, "obs_fps": obs_fps, **figures})
    finally:
        display.close()


if __name__ == "__main__":
    main()
