"""Whole runs, in processes of their own, watched only through what people have: pictures, OSC, HTTP, signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
from pythonosc.udp_client import SimpleUDPClient

from bridge.errors import RingError
from bridge.ring import RingReader, RingWriter, ring_names
from engine.frame import Frame

ROOT = Path(__file__).parents[2]
FPS = 20
LIGHT = 200  # the camera's grey; the engine makes it 55
pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform == "win32", reason="asks with POSIX signals")]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(look, within=15.0, what="it never happened"):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(what)


class Camera(threading.Thread):
    """Another program, which offers grey pictures in a ring."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.ring = RingWriter.create(name, 320, 192)
        self.done = threading.Event()
        self.start()

    def run(self):
        pixels, index = np.full((192, 320, 3), LIGHT, np.uint8), 0
        while not self.done.wait(1 / FPS):
            self.ring.write(Frame(pixels, time.monotonic(), index))
            index += 1

    def close(self):
        self.done.set()
        self.join()
        self.ring.close()


class Viewer(threading.Thread):
    """Another program, which shows the output: what it saw, and when."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.ring = until(lambda: self._attach(name), what="there is no output")
        self.seen = []  # (moment, grey)
        self.done = threading.Event()
        self.start()

    @staticmethod
    def _attach(name):
        try:
            return RingReader(name)
        except RingError:
            return None

    def run(self):
        while not self.done.is_set():
            if (frame := self.ring.next(timeout=0.1)) is not None:
                self.seen.append((time.monotonic(), int(frame.pixels[0, 0, 0])))

    @property
    def grey(self):
        return self.seen[-1][1] if self.seen else None

    def gap(self, since):
        """The longest time without a new picture since a moment."""
        moments = [since, *(moment for moment, _ in self.seen if moment > since)]
        return max(b - a for a, b in zip(moments, [*moments[1:], time.monotonic()], strict=True))

    def close(self):
        self.done.set()
        self.join()
        self.ring.close()


class Running:
    """A run, the camera before it and the viewer behind it."""

    def __init__(self, *options, preset="tiny", source=None):
        mark = f"{os.getpid()}-{time.monotonic_ns() % 10**6}"
        self.out = f"lc-ta-{mark}"
        self.camera = Camera(f"lc-tc-{mark}")
        self.web, self.osc = free_port(), free_port(socket.SOCK_DGRAM)
        command = [sys.executable, "-m", "tests.bridge.inverting_run", "run", "--no-browser", "--ring", self.out]
        command += ["--in", source or f"ring:{self.camera.ring.name}", "--preset", preset]
        command += ["--web-port", str(self.web), "--osc-port", str(self.osc)]
        command += ["--feedback-port", str(free_port(socket.SOCK_DGRAM))]
        self.process = subprocess.Popen(
            [*command, *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1, text=True
        )
        self.viewer = None

    def watch(self):
        self.viewer = Viewer(self.out)
        return self

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/api/status", timeout=5) as answer:
            return json.load(answer)

    def state(self, *wanted, within=15.0):
        """Wait for one of these states, and nothing else on the way there that is no state."""

        def look():
            assert self.process.poll() is None, self.process.communicate()
            try:
                return self.status()["state"] in wanted
            except OSError:
                return False

        until(look, within, f"never {wanted}")
        return self.status()

    def shows(self, grey, within=15.0):
        until(lambda: self.viewer.grey == grey, within, f"shows {self.viewer.grey}, not {grey}")

    def say(self, address, *values):
        SimpleUDPClient("127.0.0.1", self.osc).send_message(f"/latentcast{address}", list(values))

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def left_over(self):
        """Rings of this run that are still there."""
        return [name for name in ring_names() if name == self.out or name.startswith(f"lc-{self.process.pid}-")]

    def end(self, number=signal.SIGINT):
        """Send a signal; seconds until the run was over."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=10)
        return time.monotonic() - began

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.said = self.process.communicate()
        if self.viewer:
            self.viewer.close()
        self.camera.close()


@pytest.fixture
def start():
    runs = []

    def start(*options, **more):
        runs.append(Running(*options, **more))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def test_pictures_go_through_the_engine_and_the_status_says_how(start):
    run = start("--prompt", "negative").watch()
    run.shows(255 - LIGHT)
    run.state("streaming")
    time.sleep(1.5)
    status = run.status()

    assert status["engine"] | {"pid": 0} == {
        "pid": 0, "restarts": 0, "stage": "streaming", "device": "paper", "preset": "tiny",
    }  # fmt: skip
    assert status["params"]["prompt"] == "negative"
    assert status["fps_out"] == pytest.approx(FPS, rel=0.3)
    assert status["stages_ms"]
    assert 0 < status["latency_ms"]["p50"] < 1000
    assert {output["name"] for output in status["outputs"]} >= {run.out, "web"}


def test_a_prompt_over_osc_reaches_the_engine_and_the_frame_is_named(start):
    run = start().watch()
    run.state("streaming")
    run.say("/prompt", "pencil sketch")
    revision = until(lambda: (s := run.status())["params"]["prompt"] == "pencil sketch" and s["revision"])
    applied = until(lambda: (a := run.status()["applied"])["revision"] == revision and a)

    assert applied["frame"] > 0


def test_killing_the_engine_leaves_no_hole_and_the_same_controls_come_back(start):
    run = start("--prompt", "negative", "--steps", "3").watch()
    for kills in range(1, 4):
        run.state("streaming")
        before, moment = run.status(), time.monotonic()
        os.kill(before["engine"]["pid"], signal.SIGKILL)
        run.state("degraded", "failover")
        after = run.state("streaming")

        assert after["engine"]["restarts"] == kills
        assert after["engine"]["pid"] != before["engine"]["pid"]
        assert after["params"] == before["params"]
        assert run.viewer.gap(moment) < 5 / FPS, "the outputs went on"
    run.end()
    assert run.left_over() == []


def test_without_an_engine_the_picture_is_held_and_then_the_input_is_shown(start):
    run = start().watch()
    run.state("streaming")
    run.shows(255 - LIGHT)
    for _ in range(4):  # the waits between starts add up to more than a second
        os.kill(until(lambda: run.status()["engine"]["pid"]), signal.SIGKILL)
        time.sleep(0.1)
    run.shows(LIGHT)
    run.state("failover")

    run.shows(255 - LIGHT)
    run.state("streaming")


def test_a_hung_engine_is_replaced_and_what_the_bridge_controls_works_meanwhile(start):
    run = start().watch()
    run.state("streaming")
    run.shows(255 - LIGHT)
    os.kill(run.status()["engine"]["pid"], signal.SIGSTOP)
    run.shows(LIGHT, within=4.0)
    run.say("/panic", True)
    until(lambda: run.viewer.grey not in (LIGHT, 255 - LIGHT), within=2.0)
    run.say("/panic", False)

    status = run.state("streaming", within=20)
    assert status["engine"]["restarts"] == 1
    run.shows(255 - LIGHT)


def test_an_engine_that_cannot_work_is_said_and_the_input_goes_on(start, tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text('extends = "tiny"\n[controls]\nprompt = "weights"\n')
    run = start(preset=str(broken)).watch()
    status = run.state("error")
    run.shows(LIGHT)

    assert status["engine"]["restarts"] == 0
    run.close()
    assert "cut short" in run.said[0] + run.said[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_in_two_seconds_with_nothing_left(start, number):
    run = start().watch()
    run.state("streaming")
    children = run.children()

    assert run.end(number) < 2.0
    assert run.process.returncode == 0
    assert run.left_over() == []
    assert not [child for child in children if child.is_running()]


def test_killed_itself_it_leaves_no_process_and_no_memory(start):
    run = start().watch()
    run.state("streaming")
    children = run.children()
    run.end(signal.SIGKILL)

    until(lambda: not [child for child in children if child.is_running()], within=5.0)
    until(lambda: run.left_over() == [], within=5.0)


def test_it_ends_by_itself_after_its_duration(start):
    run = start("--duration", "1.5")

    assert run.process.wait(timeout=15) == 0
    assert run.left_over() == []


def test_a_second_run_does_not_take_the_output_of_the_first(start):
    first = start().watch()
    first.state("streaming")
    second = start("--ring", first.out)

    assert second.process.wait(timeout=15) == 2
    assert f"ring {first.out} belongs to process {first.process.pid}" in second.process.stderr.read()
    assert first.status()["state"] == "streaming"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--in", "nowhere.mp4"], "nowhere.mp4"),
        (["--in", "ring:lc-test-nowhere"], "no ring named lc-test-nowhere"),
        (["--in", "camera:77"], "camera"),
        (["--out", "spoon:me"], "spoon"),
        (["--preset", "tinny"], "tinny"),
        (["--size", "321x192"], "multiples of 16"),
        (["--ring", "a/b"], "cannot name a ring"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_started_is_said_in_one_sentence_and_nothing_is_left(start, options, says):
    run = start(*options)
    said, errors = run.process.communicate(timeout=30)

    assert run.process.returncode == 2
    assert says in errors
    assert "Traceback" not in errors + said
    assert run.left_over() == []


def test_a_port_in_use_is_said_before_anything_is_left(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = start("--web-port", str(taken.getsockname()[1]))
        _, errors = run.process.communicate(timeout=30)

    assert run.process.returncode == 2
    assert "in use" in errors
    assert run.left_over() == []


def test_the_input_can_be_changed_and_a_wrong_one_changes_nothing(start):
    run = start().watch()
    run.shows(255 - LIGHT)
    run.say("/input", "testcard")
    until(lambda: run.status()["input"] == "testcard")
    until(lambda: run.viewer.grey != 255 - LIGHT)
    run.say("/input", "nowhere.mp4")
    time.sleep(1.0)
    until(lambda: run.status()["input"] == "testcard")
    run.say("/input", f"ring:{run.camera.ring.name}")
    run.shows(255 - LIGHT)


def test_a_recording_is_started_and_finished_by_word(start, tmp_path):
    run = start("--out", f"recorder:{tmp_path / 'show.mp4'}").watch()
    run.state("streaming")
    assert "recorder" in {output["name"] for output in run.status()["outputs"]}
    run.say("/output/recorder", False)
    until((tmp_path / "show.mp4").is_file)

    run.say("/output/nothing", True)
    assert run.state("streaming")
