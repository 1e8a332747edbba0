"""The pictures of docs/obs.md: a real OBS without a screen, our clip in it, the filter on it, `latentcast run` behind.

python -m tests.bench.picture_obs docs/pictures
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2

from bridge.adapters.clip import Clip
from tests.bridge.films import make_film
from tests.bridge.running import Running
from tests.obs.lab import SCENE, Display, Lab
from tests.obs.plugin import add_filter, add_source, build

SCREEN = (1280, 800)
CANVAS = (1280, 720)
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
        return next(screen.decode(video=0)).to_ndarray(format="bgr24")


def save(picture, path: Path, width: int) -> None:
    height = round(picture.shape[0] * width / picture.shape[1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) if width < picture.shape[1] else picture
    cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds the engine gets to start")
    target = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder) / "build") / "latentcast.so"
        clip = film(Path(folder))
        display = Display("{}x{}".format(*SCREEN))
        obs = Visible(display, size=CANVAS)
        obs.install_plugin(library)
        run = Running("--prompt", "comic", source="obs-filter", program="bridge.cli")
        try:
            obs.start()
            add_source(obs, "Camera", "ffmpeg_source", local_file=str(clip), looping=True)
            time.sleep(3)
            add_filter(obs, "Camera", "Latentcast effect", answer=run.out)
            run.state("streaming", within=target.wait)
            time.sleep(5)
            save(grab(display), target.folder / "obs-window.jpg", 900)
            obs.call("OpenInputFiltersDialog", inputName="Camera")
            time.sleep(4)
            save(grab(display), target.folder / "obs-filter.jpg", 900)
            obs.call("GetSceneList")
            print(SCENE, os.getpid())  # noqa: T201
        finally:
            run.close()
            obs.close()
            display.close()


if __name__ == "__main__":
    main()
