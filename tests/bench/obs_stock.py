"""
What the way through a stock OBS costs: our TCP listener -> Media source -> OBS's program -> Custom Output -> our TCP
listener. python -m tests.bench.obs_stock [--size 1280x720] [--fps 30] [--seconds 60] [--json]

The pictures bear their number in bars, so that each is known again on the way out. The way back costs two to three of
OBS's own frames, since it goes through an encoder's queue.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread

from bridge.adapters.obs import ObsSink, ObsSource
from bridge.adapters.testcard import draw_card, draw_number, read_number
from bridge.config import parse_size
from bridge.obs.stock import PICTURE, media_settings, program_settings
from engine.frame import Frame
from tests.bench.report import arguments, spread, tell
from tests.obs.lab import SCENE, Display, Lab, free_port, missing, until

SETTLE = 3.0  # seconds


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
            time.sleep(SETTLE)  # until the start's queues are empty
            before = obs.call("GetStats")
            with ThreadPoolExecutor() as beside:
                frame_ms = beside.submit(render_ms, obs, seconds)
                seen = numbers_seen(source, seconds)
                frame_ms = frame_ms.result()
            after = obs.call("GetStats")
        finally:
            sender.close()
    known = {number: moment for number, moment in seen.items() if number in sender.sent}
    latencies = [1e3 * (moment - sender.sent[number]) for number, moment in known.items()]
    gone = after["renderTotalFrames"] - before["renderTotalFrames"]
    return {
        "frame_ms": frame_ms,
        "loop_ms": spread(latencies, 1),
        "loop_n": len(known),
        "lost": max(known) - min(known) + 1 - len(known),
        "frames": gone,
        "skipped": after["renderSkippedFrames"] - before["renderSkippedFrames"],
    }


def numbers_seen(source, seconds):
    """Which numbers came back first when, over a while."""
    seen, ends = {}, time.monotonic() + seconds
    while time.monotonic() < ends:
        if (frame := source.read(0.1)) is not None:
            seen.setdefault(read_number(frame.pixels), frame.time)
    return seen


def measure_stock(_, size, fps, seconds):
    """As the ways of bench_obs: OBS without us, then with the loop; `_` is a plugin, which nobody needs here."""
    display = Display()
    try:
        with Lab(display, size, fps) as obs:
            plain = render_ms(obs, seconds / 4)
        figures = loop(display, *size, 0.93 * fps, fps, seconds)
    finally:
        display.close()
    return {"without": {"frame_ms": plain}, "with": {"frame_ms": figures.pop("frame_ms")}, **figures}


def render_ms(obs, seconds):
    """ms for a frame, as OBS says it about itself, looked at ten times a second."""
    times, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        times.append(obs.call("GetStats")["averageFrameRenderTime"])
        time.sleep(0.1)
    return spread(times, 2)


def sentence(figures):
    loop_ms, frame = figures["loop_ms"], figures["with"]["frame_ms"]
    return (
        f"OBS {figures['size']} at {figures['obs_fps']}, stock: loop {loop_ms['median']} ms (p95 {loop_ms['p95']}), "
        f"{figures['lost']} of {figures['lost'] + figures['loop_n']} pictures lost, {figures['skipped']} of "
        f"{figures['frames']} of OBS's own frames skipped; a frame takes OBS {figures['without']['frame_ms']['median']}"
        f" ms without, {frame['median']} ms with"
    )


def main():
    parser = arguments(__doc__)
    parser.add_argument("--size", type=parse_size, default=(1280, 720), metavar="WxH")
    parser.add_argument("--fps", type=int, default=30, help="of OBS")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    if reason := missing():
        sys.exit(reason)
    figures = measure_stock(None, options.size, options.fps, options.seconds)
    figures = {"way": "stock", "size": "{}x{}".format(*options.size), "obs_fps": options.fps, **figures}
    tell("obs", figures, n=figures["loop_n"], human=sentence(figures), as_json=options.json)


if __name__ == "__main__":
    main()
