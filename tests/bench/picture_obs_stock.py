"""The pictures of docs/obs.md about OBS without a plugin: a real OBS without a screen, set up and run as the page says.

python -m tests.bench.picture_obs_stock docs/pictures
"""

from __future__ import annotations

import time

from bridge.obs.panel import PANEL
from bridge.obs.setup import SCENE, STATE
from tests.bench.visible_obs import Visible, options, photograph, visible_obs
from tests.obs.lab import SCENE as LAB
from tests.obs.lab import until
from tests.obs.running import Beside, command

CANVAS = (640, 384)


def place_state(obs: Visible) -> None:
    """The text along the lower edge, small, as a person would drag it."""
    item = obs.call("GetSceneItemId", sceneName=SCENE, sourceName=STATE)["sceneItemId"]
    size = {"boundsType": "OBS_BOUNDS_SCALE_INNER", "boundsWidth": 300, "boundsHeight": 24}
    place = {**size, "positionX": 12, "positionY": 352}
    obs.call("SetSceneItemTransform", sceneName=SCENE, sceneItemId=item, sceneItemTransform=place)
    obs.call("SetSceneItemLocked", sceneName=SCENE, sceneItemId=item, sceneItemLocked=True)


def streams(run: Beside) -> bool:
    assert run.process.poll() is None, run.process.communicate()
    try:
        return bool(run.status()["state"] == "streaming")
    except OSError:
        return False


def main() -> None:
    target = options(__doc__)
    with visible_obs(CANVAS) as obs:
        obs.add_script(PANEL)
        obs.start()
        code, said = command(obs, "obs", "setup", "--state")
        assert code == 0, said
        obs.call("SetCurrentProgramScene", sceneName=SCENE)
        place_state(obs)
        run = Beside(obs, "--out", "obs", "--obs-text", STATE, "--prompt", "comic", source="clip")
        try:
            until(lambda: streams(run), target.wait, "the engine did not start")
            time.sleep(target.settle)
            for scene in (LAB, SCENE):  # the bar below the preview says what a text was when its scene was chosen
                obs.call("SetCurrentProgramScene", sceneName=scene)
                time.sleep(2.0)
            photograph(obs, target.folder / "obs-stock.jpg")
        finally:
            run.close()


if __name__ == "__main__":
    main()
