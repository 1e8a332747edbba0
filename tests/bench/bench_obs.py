"""What the way through OBS costs: OBS's time for a frame with and without it, frames lost, and the delay of the loop.

python -m tests.bench.bench_obs [--way plugin] [--size 1280x720] [--fps 30] [--seconds 60] [--json]

The loop is a picture with a number in it: from our ring into OBS, through the filter, into the filter's ring, and back
here. Needs what the tests in tests/obs need.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bridge.config import parse_size
from bridge.ring import RingWriter
from tests.bench.report import arguments, spread, tell
from tests.obs.lab import Display, Lab, missing, until
from tests.obs.plugin import Follower, add_filter, add_source, build, cannot_build, own

SCOPES = ("output_frame", "latentcast_upload", "latentcast_filter", "latentcast_read_back")
SETTLE = 3.0  # seconds
SAMPLE = 0.1  # seconds between two looks at OBS's statistics
ODD = 0.93  # the writer's rate, in OBS's, so that the delay spreads over a whole frame


class Numbers(threading.Thread):
    """A program that writes noise with its number in the first pixels, at a rate that is not OBS's."""

    def __init__(self, name: str, width: int, height: int, rate: float) -> None:
        super().__init__(daemon=True)
        self.ring = RingWriter.create(name, width, height, slots=3)
        self.sent: dict[int, float] = {}
        self.done = threading.Event()
        self._rate = rate
        self._pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
        self._pixels[..., 3] = 255

    def run(self) -> None:
        start, number = time.monotonic(), 0
        while not self.done.wait(max(0.0, start + number / self._rate - time.monotonic())):
            number += 1
            self._pixels[:8, :8, 0], self._pixels[:8, :8, 1] = number % 251, number // 251 % 251
            self.sent[number % (251 * 251)] = time.monotonic()
            self.ring.write_rgba(self._pixels, time.monotonic(), number)

    def close(self) -> None:
        self.done.set()
        self.join()
        self.ring.close()


def delays(numbers: Numbers, out: Follower, seconds: float) -> list[float]:
    """ms from writing a picture to having it back, for each that came back first."""
    took, seen, deadline = [], set(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (got := out.newest()) is None:
            time.sleep(0.0005)
            continue
        now, corner = time.monotonic(), got[0][4, 4]
        number = int(corner[0]) + 251 * int(corner[1])
        if number in numbers.sent and number not in seen:
            seen.add(number)
            took.append(1000 * (now - numbers.sent[number]))
    return took


def stats(obs: Lab, seconds: float) -> dict[str, Any]:
    """OBS's own figures over a while: ms for rendering a frame, frames it lost, processors' ms a frame."""
    before, times, deadline = obs.call("GetStats"), [], time.monotonic() + seconds
    busy = processor_seconds(obs)
    while time.monotonic() < deadline:
        times.append(obs.call("GetStats")["averageFrameRenderTime"])
        time.sleep(SAMPLE)
    after = obs.call("GetStats")
    frames = after["renderTotalFrames"] - before["renderTotalFrames"]
    lost = after["renderSkippedFrames"] - before["renderSkippedFrames"]
    drawn = max(1, frames - lost)
    spent = round(1000 * (processor_seconds(obs) - busy) / drawn, 1)
    return {"frame_ms": spread(times, 2), "frames": frames, "lost": lost, "processor_ms": spent}


def processor_seconds(obs: Lab) -> float:
    """What OBS used of all processors so far: says more than the clock where others compute, too."""
    fields = Path(f"/proc/{obs.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profiled(log: str) -> dict[str, dict[str, float]]:
    """What OBS's own profiler says at its end of each of SCOPES that ran: median and 99th percentile, ms."""
    found = {}
    for scope in SCOPES:
        if lines := re.findall(rf"{scope}: [^\n]*median=([\d.]+)\sms[^\n]*99th percentile=([\d.]+)\sms", log):
            found[scope] = {"median": float(lines[-1][0]), "p99": float(lines[-1][1])}
    return found


@contextmanager
def running(library: Path, size: tuple[int, int], fps: int) -> Iterator[tuple[Lab, Numbers]]:
    """An OBS whose scene is our numbers."""
    with ExitStack() as stack:
        display = Display()
        stack.callback(display.close)
        obs = Lab(display, size=size, fps=fps)
        stack.callback(obs.close)
        obs.install_plugin(library)
        obs.start()
        numbers = Numbers(own("bench"), *size, rate=ODD * fps)
        stack.callback(numbers.close)
        numbers.start()
        add_source(obs, "numbers", ring=numbers.ring.name)
        until(lambda: obs.screenshot("numbers").shape[:2] == size[::-1])
        time.sleep(SETTLE)
        yield obs, numbers


def measure_plugin(library: Path, size: tuple[int, int], fps: int, seconds: float) -> dict[str, Any]:
    """OBS with the source alone, then with the filter on it, each for `seconds`."""
    with running(library, size, fps) as (obs, _):
        plain = stats(obs, seconds)
        obs.stop()
        plain["profiled_ms"] = profiled(obs.log)
    with running(library, size, fps) as (obs, numbers), Follower(own("loop")) as out:
        add_filter(obs, "numbers", ring=out.name, answer=own("none"), rate=60)
        until(out.newest)
        time.sleep(SETTLE)
        filtered = stats(obs, seconds)
        loop = delays(numbers, out, seconds / 2)
        obs.stop()
        filtered["profiled_ms"] = profiled(obs.log)
    return {"without": plain, "with": filtered, "loop_ms": spread(loop, 1), "loop_n": len(loop)}


WAYS = {"plugin": measure_plugin}


def sentence(figures: dict[str, Any]) -> str:
    without, filtered, loop = figures["without"], figures["with"], figures["loop_ms"]
    lost = f"{without['lost']} and {filtered['lost']} of {filtered['frames']} frames lost"
    return (
        f"OBS {figures['size']} at {figures['obs_fps']}, {figures['way']}: a frame takes "
        f"{without['frame_ms']['median']} ms without, {filtered['frame_ms']['median']} ms with, of the "
        f"processors' time {without['processor_ms']} and {filtered['processor_ms']} ms; "
        f"{lost}; loop {loop['median']} ms (p95 {loop['p95']})"
    )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--way", choices=list(WAYS), default="plugin")
    parser.add_argument("--size", type=parse_size, default=(1280, 720), metavar="WxH")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    if reason := missing() or cannot_build():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder)) / "latentcast.so"
        figures = WAYS[options.way](library, options.size, options.fps, options.seconds)
    size = "{}x{}".format(*options.size)
    figures = {"way": options.way, "size": size, "obs_fps": options.fps, **figures}
    tell("obs", figures, n=figures["loop_n"], human=sentence(figures), as_json=options.json)


if __name__ == "__main__":
    main()
