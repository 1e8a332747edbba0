"""A show under attack: `latentcast run` as a user starts it, its viewer, and what is measured of both."""

import json
import os
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

from bridge.rings.ring import ring_names
from engine.clock import monotonic
from tests.bridge.running import ROOT, alive, free_port, until
from tests.bridge.running import socket as sockets

TIMEOUT = 60.0  # seconds for what has to happen
WATCH = Path(__file__).with_name("watch.py")


class Show:
    """A run of the embedded model with the built-in clip, in a folder of its own.

    output: where its standard output and error go; a file in `folder` if left out.
    before: words before the command, such as prlimit.
    """

    def __init__(self, folder, *options, before=(), output=None):
        self.folder, self.name = folder, f"lc-at-{os.getpid()}-{random.randrange(10**6)}"
        self.web, self.osc = free_port(), free_port(sockets.SOCK_DGRAM)
        self.log = folder / "log.txt"
        command = [*before, sys.executable, "-m", "bridge.cli.commands", "run", "--no-browser", "--ring", self.name]
        command += ["--in", "clip", "--web-port", str(self.web), "--osc-port", str(self.osc)]
        command += ["--feedback-port", str(free_port(sockets.SOCK_DGRAM)), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log if output is None else output,
                stderr=log if output is None else output,
            )
        self.ever: dict[int, psutil.Process] = {}  # every process of it that was seen

    def ask(self, path, body=None, method=None):
        """The answer of the HTTP API, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/api/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    @property
    def status(self):
        return self.ask("status")

    def streaming(self, within=TIMEOUT):
        """Wait until the effect is on; the status then."""

        def look():
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            try:
                status = self.status
            except OSError:
                return None
            return status if status["state"] == "streaming" else None

        status = until(look, within, "it does not stream")
        self.ever |= {child.pid: child for child in self.children()}
        return status

    def children(self, module=""):
        """Its processes, or those that run a module of ours."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if module in " ".join(_command(child))]

    def anonymous(self):
        """MiB that belong to the bridge alone, shared rings not counted."""
        return round(psutil.Process(self.process.pid).memory_full_info().uss / 2**20)

    def descriptors(self):
        return psutil.Process(self.process.pid).num_fds()

    def end(self):
        """Ctrl-C; seconds until it was over."""
        self.ever |= {child.pid: child for child in self.children()}
        began = monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(TIMEOUT) == 0, self.log.read_text(errors="replace")[-2000:]
        return monotonic() - began

    def left(self):
        """Processes and rings of it that are still there; its own end is waited for a moment."""
        until(lambda: not alive(self.ever.values()), 5, f"still there: {alive(self.ever.values())}")
        own = f"lc-{self.process.pid}-"
        return [name for name in ring_names() if name == self.name or name.startswith(own)]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for child in alive(self.ever.values()):
            child.kill()


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def watching(name):
    """Look at a ring from a process that knows docs/ring.md alone; what it saw is filled in at the end."""
    command = [sys.executable, "-I", str(WATCH), name]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        process.stdout.readline()
        seen = {}
        try:
            yield seen
        finally:
            said, _ = process.communicate(timeout=TIMEOUT)
            seen |= json.loads(said)


def gaps(seen):
    """What a viewer noticed, in milliseconds."""
    moments = [moment for moment, _, _ in seen["seen"]]
    waits = sorted(1000 * (after - before) for before, after in zip(moments, moments[1:], strict=False))
    effect = sum(kind == 1 for _, _, kind in seen["seen"]) / max(1, len(moments))
    return {
        "pictures": len(moments),
        "torn": seen["torn"],
        "effect": round(effect, 3),
        "gap_p50_ms": round(waits[len(waits) // 2]),
        "gap_p99_ms": round(waits[int(0.99 * len(waits))]),
        "longest_gap_ms": round(waits[-1]),
    }


def refused(error):
    """The code and the sentence of an answer that says no."""
    assert isinstance(error, urllib.error.HTTPError)
    return error.code, json.loads(error.read() or b"{}")
