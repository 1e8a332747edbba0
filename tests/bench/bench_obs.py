"""What the ways through OBS cost: OBS's time for a frame without and with them, frames lost, and the delay of the loop.

python -m tests.bench.bench_obs [--way plugin|stock] [--size 1280x720] [--fps 30] [--seconds 60] [--json]

The loop is a picture that bears its number in bars, from here into OBS and back. With the plugin: ring, source, filter,
ring. With a stock OBS: TCP, Media source, OBS's program, Custom Output, TCP. "Without" is the same OBS showing the same
pictures, and sending none back. Needs what the tests in tests/obs need.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bridge.adapters.obs import ObsSink, ObsSource
from bridge.adapters.testcard import BITS, draw_card, draw_number, read_number
from bridge.media.picture import Picture
from bridge.obs.setup import MEDIA_KIND, PICTURE, media_settings, program_settings
from bridge.options import parse_size
from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bench.report import arguments, spread, tell
from tests.obs.lab import SCENE, Display, Lab, free_port, missing, until
from tests.obs.plugin import Follower, add_filter, add_source, build, cannot_build, own

FRAME = "obs_graphics_thread"  # the scope in OBS's profile that is a whole frame
SCOPES = (
    "output_frame",
    "latentcast_upload",
    "latentcast_filter",
    "latentcast_read_back",
    "latentcast_stage",
    "latentcast_copy",
)
SETTLE = 3.0  # seconds
READ_TIMEOUT = 0.1  # seconds to wait for one picture
ODD = 0.93  # the writer's rate, in OBS's, so that the delay spreads over a whole frame


@dataclass
class Loop:
    """An OBS that shows a card put into it. back: the number of the next that came back, and when."""

    obs: Lab
    card: Picture
    put: Callable[[Picture, int], None]
    back: Callable[[], tuple[int, float] | None]


class Numbers(threading.Thread):
    """A program that sends a card with its number, at a rate that is not OBS's; `sent` has the moment of each."""

    def __init__(self, loop: Loop, rate: float) -> None:
        super().__init__(daemon=True)
        self.sent: dict[int, float] = {}
        self._put, self._card, self._rate = loop.put, loop.card, rate
        self._over = threading.Event()

    def run(self) -> None:
        start, number = monotonic(), 0
        while not self._over.wait(max(0.0, start + number / self._rate - monotonic())):
            number += 1
            draw_number(self._card[..., :3], number)
            self.sent[number % 2**BITS] = monotonic()
            self._put(self._card, number)

    def close(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def through_the_plugin(library: Path, display: Display, size: tuple[int, int], fps: int, whole: bool) -> Iterator[Loop]:
    """whole: with the filter, which sends everything back."""
    with ExitStack() as stack:
        obs = Lab(display, size, fps)
        obs.install_plugin(library)
        stack.enter_context(obs)
        ring = RingWriter.create(own("bench"), *size, slots=3)
        stack.callback(ring.close)
        card = np.dstack([draw_card(*size), np.full(size[::-1], 255, np.uint8)])
        out = stack.enter_context(Follower(own("loop")))
        add_source(obs, PICTURE, ring=ring.name)
        if whole:
            add_filter(obs, PICTURE, ring=out.name, answer=own("none"), rate=60)
        yield Loop(obs, card, lambda card, number: ring.write_rgba(card, monotonic(), number), partial(from_ring, out))


def from_ring(out: Follower) -> tuple[int, float] | None:
    deadline = monotonic() + READ_TIMEOUT
    while (got := out.newest()) is None:
        if monotonic() > deadline:
            return None
        time.sleep(0.0005)
    moment = monotonic()
    return read_number(got[0][..., :3]), moment


@contextmanager
def through_a_stock_obs(_: None, display: Display, size: tuple[int, int], fps: int, whole: bool) -> Iterator[Loop]:
    """whole: with the record button pressed, which sends OBS's program back."""
    into, back = free_port(), free_port()
    sink, source = ObsSink(str(into)), ObsSource(str(back))
    with ExitStack() as stack:
        for adapter in (sink, source):
            adapter.open(*size, fps)
            stack.callback(adapter.close)
        obs = stack.enter_context(Lab(display, size, fps, sections(program_settings(back))))
        add_source(obs, PICTURE, MEDIA_KIND, **media_settings(into))
        if whole:
            obs.call("StartRecord")
        yield Loop(
            obs,
            draw_card(*size),
            lambda card, number: sink.send(Frame(card, monotonic(), number)),
            lambda: (got := source.read(READ_TIMEOUT)) and (read_number(got.pixels), got.time),
        )


def sections(settings: dict[str, str]) -> dict[str, dict[str, str]]:
    """{section/key: value} as {section: {key: value}}."""
    parted: dict[str, dict[str, str]] = {}
    for path, value in settings.items():
        section, _, key = path.partition("/")
        parted.setdefault(section, {})[key] = value
    return parted


WAYS = {"plugin": through_the_plugin, "stock": through_a_stock_obs}


def measure(way: str, library: Path | None, size: tuple[int, int], fps: int, seconds: float) -> dict[str, Any]:
    """OBS that only shows our pictures, then one that sends them back, each for `seconds`."""
    with ExitStack() as stack:
        display = Display()
        stack.callback(display.close)
        figures: dict[str, Any] = {}
        for name, whole in (("without", False), ("with", True)):
            with WAYS[way](library, display, size, fps, whole) as loop:
                figures[name], delays, lost = watch(loop, size, ODD * fps, seconds, whole)
    return {**figures, "loop_ms": spread(delays, 1), "loop_n": len(delays), "loop_lost": lost}


def watch(
    loop: Loop, size: tuple[int, int], rate: float, seconds: float, whole: bool
) -> tuple[dict[str, Any], list[float], int]:
    """OBS's own figures over a while; ms from here to here for each picture, and how many never came back."""
    numbers = Numbers(loop, rate)
    numbers.start()
    try:
        until(lambda: shown_size(loop.obs) == size)
        if whole:
            until(loop.back, what=lambda: f"nothing came back\n{loop.obs.log[-2000:]}")
        time.sleep(SETTLE)
        before, busy = loop.obs.call("GetStats"), processor_seconds(loop.obs)
        seen = came_back(loop, seconds) if whole else time.sleep(seconds) or {}
        figures = told(before, loop.obs.call("GetStats"), processor_seconds(loop.obs) - busy)
    finally:
        numbers.close()
    loop.obs.stop()
    figures["frame_ms"] = profiled(loop.obs.log, FRAME)
    figures["scopes_ms"] = {scope: got for scope in SCOPES if (got := profiled(loop.obs.log, scope))}
    known = {number: moment for number, moment in seen.items() if number in numbers.sent}
    lost = max(known) - min(known) + 1 - len(known) if known else 0
    return figures, [1000 * (moment - numbers.sent[number]) for number, moment in known.items()], lost


def shown_size(obs: Lab) -> tuple[int, int]:
    """Width and height of our pictures in OBS; 0, 0 before the first."""
    item = obs.call("GetSceneItemId", sceneName=SCENE, sourceName=PICTURE)["sceneItemId"]
    place = obs.call("GetSceneItemTransform", sceneName=SCENE, sceneItemId=item)["sceneItemTransform"]
    return int(place["sourceWidth"]), int(place["sourceHeight"])


def came_back(loop: Loop, seconds: float) -> dict[int, float]:
    """When which number came back first. What was sent before, and comes only now, is left out."""
    seen: dict[int, float] = {}
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if got := loop.back():
            seen.setdefault(*got)
    return seen


def told(before: dict[str, Any], after: dict[str, Any], busy: float) -> dict[str, Any]:
    """Frames, those that OBS itself lost, in drawing or before sending, and processors' ms for each that it drew."""
    gone = {key: after[key] - before[key] for key in before if key.endswith("Frames")}
    drawn = max(1, gone["renderTotalFrames"] - gone["renderSkippedFrames"])
    return {
        "frames": gone["renderTotalFrames"],
        "lost": gone["renderSkippedFrames"] + gone["outputSkippedFrames"],
        "processor_ms": round(1000 * busy / drawn, 1),
    }


def processor_seconds(obs: Lab) -> float:
    """What OBS used of all processors so far: says more than the clock where others compute, too."""
    fields = Path(f"/proc/{obs.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profiled(log: str, scope: str) -> dict[str, float]:
    """What OBS's own profiler says at its end of a scope: median and 99th percentile, ms; {} if it never ran."""
    lines = re.findall(rf"{scope}[^\n]*: [^\n]*median=([\d.]+)\sms[^\n]*99th percentile=([\d.]+)\sms", log)
    return {"median": float(lines[0][0]), "p99": float(lines[0][1])} if lines else {}


def sentence(figures: dict[str, Any]) -> str:
    without, through, loop = figures["without"], figures["with"], figures["loop_ms"]
    plain, whole = (f"{each['frame_ms']['median']} ms (p99 {each['frame_ms']['p99']})" for each in (without, through))
    return (
        f"OBS {figures['size']} at {figures['obs_fps']}, {figures['way']}: "
        f"a frame takes {plain} without, {whole} with, "
        f"of the processors' time {without['processor_ms']} and {through['processor_ms']} ms; "
        f"{without['lost']} of {without['frames']} and {through['lost']} of {through['frames']} frames lost; "
        f"loop {loop['median']} ms (p95 {loop['p95']}), "
        f"{figures['loop_lost']} of {figures['loop_lost'] + figures['loop_n']} pictures lost"
    )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--way", choices=list(WAYS), help="one of the ways only")
    parser.add_argument("--size", type=parse_size, default=(1280, 720), metavar="WxH")
    parser.add_argument("--fps", type=int, default=30, help="of OBS: 30 or 60")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of without and with")
    options = parser.parse_args()
    ways = [options.way] if options.way else list(WAYS)
    if reason := missing() or ("plugin" in ways and cannot_build()):
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder)) / "latentcast.so" if "plugin" in ways else None
        for way in ways:
            figures = measure(way, library, options.size, options.fps, options.seconds)
            size = "{}x{}".format(*options.size)
            figures = {"way": way, "size": size, "obs_fps": options.fps, **figures}
            tell("obs", figures, n=figures["loop_n"], human=sentence(figures), as_json=options.json)


if __name__ == "__main__":
    main()
