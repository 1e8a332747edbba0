"""The pictures of docs/obs.md about OBS without a plugin: a real OBS without a screen, set up and run as the page says.

python -m tests.bench.picture_obs_stock docs/pictures
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import av
import cv2

from bridge.obs.panel import PANEL
from bridge.obs.stock import SCENE, STATE
from tests.obs.lab import Display, Lab, until
from tests.obs.running import Beside, command

SCREEN = (1280, 800)
CANVAS = (640, 384)
WINDOW = (1078, 728)  # what OBS's window covers of the screen at its first start


class Visible(Lab):
    """An OBS whose window shows its preview, as a person's does."""

    def _globals(self):
        return super()._globals() | {"BasicWindow": {"PreviewEnabled": "true", "SysTrayEnabled": "false"}}


def grab(display, size=WINDOW):
    """What is on the screen, BGR."""
    options = {"video_size": "{}x{}".format(*SCREEN), "draw_mouse": "0"}
    with av.open(display.name, format="x11grab", options=options) as screen:
        return next(screen.decode(video=0)).to_ndarray(format="bgr24")[: size[1], : size[0]]


def save(picture, path, width=900):
    """A small JPEG."""
    height = round(picture.shape[0] * width / picture.shape[1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 80])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait", type=float, default=240.0, help="seconds the engine gets to start")
    target = parser.parse_args()
    display = Display("{}x{}".format(*SCREEN))
    obs = Visible(display, size=CANVAS)
    obs.add_script(PANEL)
    run = None
    try:
        obs.start()
        code, said = command(obs, "obs", "setup", "--state")
        assert code == 0, said
        obs.call("SetCurrentProgramScene", sceneName=SCENE)
        item = obs.call("GetSceneItemId", sceneName=SCENE, sourceName=STATE)["sceneItemId"]
        small = {"boundsType": "OBS_BOUNDS_SCALE_INNER", "boundsWidth": 300, "boundsHeight": 24, "positionX": 12}
        place = {**small, "positionY": 352}
        obs.call("SetSceneItemTransform", sceneName=SCENE, sceneItemId=item, sceneItemTransform=place)
        obs.call("SetSceneItemLocked", sceneName=SCENE, sceneItemId=item, sceneItemLocked=True)
        run = Beside(obs, "--out", "obs", "--obs-text", STATE, "--prompt", "comic", source="clip")
        until(lambda: streams(run), target.wait, "the engine did not start")
        time.sleep(12)
        save(grab(display), target.folder / "obs-stock.jpg")
    finally:
        if run is not None:
            run.close()
        obs.close()
        display.close()


def streams(run):
    assert run.process.poll() is None, run.process.communicate()
    try:
        return run.status()["state"] == "streaming"
    except OSError:
        return False


if __name__ == "__main__":
    main()
