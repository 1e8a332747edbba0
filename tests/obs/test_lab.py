"""The real OBS that the other tests of this folder use: it starts, shows, restarts, and leaves nothing behind."""

import numpy as np
import pytest

from tests.obs.lab import SCENE
from tests.obs.remote import Refused

RED = 0xFF0000FF  # OBS writes colours as ABGR


def add_red(obs):
    obs.call(
        "CreateInput",
        sceneName=SCENE,
        inputName="red",
        inputKind="color_source_v3",
        inputSettings={"color": RED, "width": 640, "height": 360},
    )


def is_red(picture):
    return np.allclose(picture[180, 320, :3], (255, 0, 0), atol=2)


def test_obs_answers_and_shows_a_colour_the_right_way(obs):
    add_red(obs)

    picture = obs.shows(is_red)

    assert obs.call("GetVersion")["rpcVersion"] == 1
    assert picture.shape[:2] == (360, 640)


def test_obs_comes_back_with_its_scenes_after_a_restart(obs):
    add_red(obs)

    obs.restart()

    obs.shows(is_red)


def test_obs_says_what_it_refuses(obs):
    with pytest.raises(Refused, match="600"):
        obs.call("GetInputSettings", inputName="nobody")


def test_nothing_is_left_of_obs(make_obs):
    lab = make_obs()
    lab.start()

    lab.stop()  # its exit code says little: OBS 29 sometimes crashes on the way out, by itself
    lab.close()

    assert not lab.folder.exists()
    assert not lab.alive


def test_a_script_that_cannot_be_loaded_is_in_the_log(make_obs, tmp_path):
    script = tmp_path / "wrong.lua"
    script.write_text("this is no Lua")
    lab = make_obs()
    lab.add_script(script)

    lab.start()

    assert "wrong.lua" in lab.log
