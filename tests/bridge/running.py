"""A run of `latentcast` from outside: the camera before it, the viewer behind it, and the words one has for it."""

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
from pythonosc.udp_client import SimpleUDPClient

from bridge.errors import RingError
from bridge.rings.ring import RingReader, RingWriter, ring_names
from engine.clock import monotonic
from engine.frame import Frame

ROOT = Path(__file__).parents[2]
FPS = 20
LIGHT = 200  # the camera's grey
TIMEOUT = 180.0  # seconds; the machine may be busy, and what never happens can wait
INVERTING = "tests.bridge.inverting_run"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(look, within=TIMEOUT, what="it never happened"):
    deadline = monotonic() + within
    while monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(what)


def alive(processes):
    """Those that still do something; one that waits for its parent to take note of its end does not."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


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
            self.ring.write(Frame(pixels, monotonic(), index))
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
                self.seen.append((monotonic(), int(frame.pixels[0, 0, 0])))

    @property
    def grey(self):
        return self.seen[-1][1] if self.seen else None

    def gap(self, since):
        """The longest time without a new picture since a moment."""
        moments = [since, *(moment for moment, _ in self.seen if moment > since)]
        return max(b - a for a, b in zip(moments, [*moments[1:], monotonic()], strict=True))

    def count(self, since):
        """How many pictures came after a moment."""
        return sum(moment > since for moment, _ in self.seen)

    def close(self):
        self.done.set()
        self.join()
        self.ring.close()


class Running:
    """A run, the camera before it and the viewer behind it."""

    def __init__(
        self,
        *options,
        preset="tiny",
        source=None,
        program=INVERTING,
        folder=ROOT,
        before=(),
        environment=None,
        browser=False,
        **streams,
    ):
        mark = f"{os.getpid()}-{time.monotonic_ns() % 10**6}"
        self.out = f"lc-ta-{mark}"
        self.camera = Camera(f"lc-tc-{mark}")
        self.web, self.osc = free_port(), free_port(socket.SOCK_DGRAM)
        command = [*before, sys.executable, "-m", program, "run", *["--no-browser"] * (not browser), "--ring", self.out]
        command += ["--in", f"ring:{self.camera.ring.name}" if source is None else source, "--preset", preset]
        command += ["--web-port", str(self.web), "--osc-port", str(self.osc)]
        command += ["--feedback-port", str(free_port(socket.SOCK_DGRAM))]
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
        self.viewer = None

    def watch(self):
        self.viewer = Viewer(self.out)
        return self

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/api/status", timeout=TIMEOUT) as answer:
            return json.load(answer)

    def state(self, *wanted, within=TIMEOUT):
        """Wait for one of these states, and nothing else on the way there that is no state."""

        def look():
            assert self.process.poll() is None, self.process.communicate()
            try:
                return self.status()["state"] in wanted
            except OSError:
                return False

        until(look, within, f"never {wanted}")
        return self.status()

    def shows(self, grey, within=TIMEOUT):
        until(lambda: self.viewer.grey == grey, within, f"shows {self.viewer.grey}, not {grey}")

    def say(self, address, *values):
        with SimpleUDPClient("127.0.0.1", self.osc) as client:
            client.send_message(f"/latentcast{address}", list(values))

    def do(self, action, *arguments):
        body = json.dumps({"arguments": arguments}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.web}/api/actions/{action}", body, method="POST")
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def left_over(self):
        """Rings of this run that are still there."""
        return [name for name in ring_names() if name == self.out or name.startswith(f"lc-{self.process.pid}-")]

    def end(self, number=signal.SIGINT):
        """Send a signal; seconds until the run was over."""
        began = monotonic()
        self.process.send_signal(number)
        self.process.wait(TIMEOUT)
        return monotonic() - began

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.said = self.process.communicate()
        if self.viewer:
            self.viewer.close()
        self.camera.close()
