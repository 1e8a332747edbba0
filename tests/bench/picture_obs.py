"""The pictures of docs/obs.md: a real OBS without a screen, our clip in it, the filter on it, `latentcast run` behind.

python -m tests.bench.picture_obs docs/pictures
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2

from bridge.adapters.clip import Clip
from tests.bridge.films import make_film
from tests.obs.lab import Display, Lab, until
from tests.obs.plugin import add_filter, add_source, build, filter_settings

SCREEN = (1280, 800)
CANVAS = (640, 360)  # small: everything here is drawn by the processor
FILTER = "Latentcast effect"
WINDOW = (1078, 728)  # what OBS's window covers of the screen, at its first start
FRAMES = 72


class Visible(Lab):
    """An OBS whose window shows its preview, as a person's does."""

    def _globals(self):
        return super()._globals() | {"BasicWindow": {"PreviewEnabled": "true", "SysTrayEnabled": "false"}}


def film(folder: Path) -> Path:
    clip = Clip("")
    clip.open(*CANVAS)
    pictures = [clip._draw(index) for index in range(FRAMES)]
    return make_film(folder / "clip.mp4", FRAMES, Fraction(24), CANVAS, pictures=pictures)


def grab(display: Display):
    """What is on the screen, BGR."""
    size = "{}x{}".format(*SCREEN)
    with av.open(display.name, format="x11grab", options={"video_size": size, "draw_mouse": "0"}) as screen:
        return next(screen.decode(video=0)).to_ndarray(format="bgr24")[: WINDOW[1], : WINDOW[0]]


def streams() -> bool:
    """Whether a run on the usual ports has an effect to show."""
    with suppress(OSError), urllib.request.urlopen("http://127.0.0.1:9512/api/status", timeout=5) as answer:
        return json.load(answer)["state"] == "streaming"
    return False


def save(picture, path: Path, width: int) -> None:
    height = round(picture.shape[0] * width / picture.shape[1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) if width < picture.shape[1] else picture
    cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait", type=float, default=240.0, help="seconds the engine gets to start")
    parser.add_argument("--settle", type=float, default=6.0, help="seconds before each picture")
    target = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder) / "build") / "latentcast.so"
        clip = film(Path(folder))
        display = Display("{}x{}".format(*SCREEN))
        obs = Visible(display, size=CANVAS)
        obs.install_plugin(library)
        run = None
        try:
            obs.start()
            add_source(obs, "Camera", "ffmpeg_source", local_file=str(clip), looping=True)
            until(lambda: obs.call("GetInputSettings", inputName="Camera"))
            add_filter(obs, "Camera", FILTER)
            command = filter_settings(obs, "Camera", FILTER)["command"].split()
            run = subprocess.Popen([sys.executable, "-m", "bridge.cli", *command[1:], "--no-browser"])
            until(streams, target.wait, "the engine did not start")
            look = {"prompt": "comic"}
            obs.call("SetSourceFilterSettings", sourceName="Camera", filterName=FILTER, filterSettings=look)
            time.sleep(target.settle)
            save(grab(display), target.folder / "obs-window.jpg", 900)
            obs.call("OpenInputFiltersDialog", inputName="Camera")
            time.sleep(target.settle)
            save(grab(display), target.folder / "obs-filter.jpg", 900)
        finally:
            if run is not None:
                run.terminate()
                run.wait()
            obs.close()
            display.close()


if __name__ == "__main__":
    main()
