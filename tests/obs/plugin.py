"""The plugin built from plugins/obs, and the words one has for it in a real OBS."""

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
from pythonosc.osc_message import OscMessage

from bridge.errors import RingError
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from tests.obs.lab import SCENE, until

SOURCES = Path(__file__).parents[2] / "plugins" / "obs"
INSTALL = "apt-get install -y --no-install-recommends cmake make gcc libc6-dev libobs-dev libsimde-dev"
SOURCE, FILTER = "latentcast_source", "latentcast_filter"


def cannot_compile():
    """What compiling C lacks on this machine; empty if nothing."""
    lacking = [name for name in ("cmake", "make", "cc") if not shutil.which(name)]
    return f"no {', '.join(lacking)}; {INSTALL}" if lacking else ""


def cannot_build():
    """What building the plugin lacks on this machine; empty if nothing."""
    lacking = [name for name in ("cmake", "make", "cc") if not shutil.which(name)]
    if not Path("/usr/include/obs/obs-module.h").exists():
        lacking += ["libobs-dev"]
    return f"no {', '.join(lacking)}; {INSTALL}" if lacking else ""


def build(folder, *options):
    """Build with warnings as errors; the folder of what was built."""
    strict = ["cmake", "-S", SOURCES, "-B", folder, "-DLATENTCAST_STRICT=ON", *options]
    for command in (strict, ["cmake", "--build", folder, "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def build_watcher(folder):
    """The library plugins/obs/tests/ticks.c, to be preloaded into an OBS."""
    headers = subprocess.run(["pkg-config", "--cflags", "libobs"], capture_output=True, text=True, check=True)
    library = folder / "ticks.so"
    command = ["cc", "-shared", "-fPIC", "-o", library, SOURCES / "tests" / "ticks.c", *headers.stdout.split(), "-ldl"]
    subprocess.run(command, check=True)
    return library


def card(width, height, alpha=False):
    """A picture whose every corner, and every pixel, is another one: uint8 RGBA [H, W, 4]."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack(
        [columns * 255 // (width - 1), rows * 255 // (height - 1), (columns * 7 + rows * 3) % 256, 0 * rows + 255], -1
    ).astype(np.uint8)
    pixels[: height // 4, : width // 4, :3] = (255, 0, 0)
    pixels[-height // 4 :, : width // 4, :3] = (0, 0, 255)
    if alpha:
        pixels[..., 3] = np.clip(64 + columns * 255 // width, 64, 255)
    return pixels


def near(pixels, wanted, off=1):
    """Equal, but for `off` steps of 255."""
    return pixels.shape == wanted.shape and np.abs(pixels.astype(int) - wanted).max() <= off


class Writer:
    """A program that shows `pixels` in a ring, again and again, until it is closed."""

    def __init__(self, name, pixels, kind=0, fps=60):
        self.ring = RingWriter.create(name, pixels.shape[1], pixels.shape[0], slots=3)
        self.name = name
        self.pixels, self.kind, self.fps = pixels, kind, fps
        self.running = threading.Event()
        self.running.set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self):
        index = 0
        while not self._done.wait(1 / self.fps):
            if self.running.is_set():
                self.ring._begin(monotonic(), index, self.kind)[:] = self.pixels
                self.ring._end()
                index += 1

    def close(self):
        self._done.set()
        self._thread.join()
        self.ring.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Follower:
    """A program that reads a ring, and opens it again when it was made anew."""

    def __init__(self, name):
        self.name, self._ring = name, None

    def _attached(self):
        if self._ring is not None and self._ring.orphaned:
            self.close()
        if self._ring is None:
            with suppress(RingError):
                self._ring = RingReader(self.name)
        return self._ring

    def newest(self):
        """A new picture, RGBA [H, W, 4], and its stamp (time, index); None if there is none."""
        if (ring := self._attached()) is None:
            return None
        pixels = np.empty((ring.height, ring.width, 4), np.uint8)
        stamp = ring.read_rgba_into(pixels)
        return stamp and (pixels, stamp)

    def shows(self, look, within=30.0, what="the ring never showed it"):
        """Wait until `look` is true of a new picture, and return that one."""

        def seen():
            got = self.newest()
            return got[0] if got and look(got[0]) else None

        return until(lambda: (got := seen()) is not None and [got], within, what)[0]

    def close(self):
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def add_source(obs, name, kind=SOURCE, scene=SCENE, **settings):
    obs.call("CreateInput", sceneName=scene, inputName=name, inputKind=kind, inputSettings=settings)


def add_filter(obs, source, name="effect", **settings):
    obs.call("CreateSourceFilter", sourceName=source, filterName=name, filterKind=FILTER, filterSettings=settings)


def filter_settings(obs, source, name="effect"):
    return obs.call("GetSourceFilter", sourceName=source, filterName=name)["filterSettings"]


_tests = count()
_test = 0


def begin_test():
    """From now on, `own` gives other names: OBS may still be letting go of what the test before has used."""
    global _test
    _test = next(_tests)


def own(name):
    """A ring's name that no other test, nor another run of the tests, uses."""
    return f"lc-{os.getpid()}-{_test}-{name}"


class Ear:
    """A UDP port that remembers the messages, as python-osc reads them."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def heard(self, within):
        """Messages until it is quiet for `within` seconds: [(address, arguments)]."""
        self.socket.settimeout(within)
        got = []
        while True:
            try:
                message = OscMessage(self.socket.recv(65536))
            except TimeoutError:
                return got
            got.append((message.address, message.params))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
