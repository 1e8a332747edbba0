"""Keys that a user gives to a filter's hotkeys. OBS itself saves only those that are registered at that moment."""

from pathlib import Path

import pytest

from tests.obs.lab import until
from tests.obs.plugin import FILTER, Ear, add_filter, add_source, filter_settings, own

GIVER = Path(__file__).with_name("give_key.lua")
FREEZE = "latentcast.freeze"
KEYS = ("OBS_KEY_F9", "OBS_KEY_F10")
FROZEN = ("/latentcast/freeze", [True])


@pytest.fixture
def obs(make_obs, library):
    """An OBS with the plugin, not started, in which two keys can be given."""
    lab = make_obs()
    lab.install_plugin(library)
    lab.add_script(GIVER, keys=", ".join(f"{FREEZE} {key}" for key in KEYS))
    return lab


@pytest.fixture
def ears():
    with Ear() as one, Ear() as other:
        yield one, other


def offered(obs):
    """How many hotkeys there are to freeze a run."""
    return obs.call("GetHotkeyList")["hotkeys"].count(FREEZE)


def give(obs, which):
    """Give a key to the filter that was added last, which OBS offers it for after a moment."""

    def given():
        obs.press(f"test.give.{which + 1}")
        return f"gave {KEYS[which]} " in obs.log

    until(lambda: offered(obs) == which + 1)
    until(given)


def freezes(obs, which, ear):
    """Press a key until it is heard that a run is to freeze."""

    def heard():
        obs.call("TriggerHotkeyByKeySequence", keyId=KEYS[which])
        return FROZEN in ear.heard(0.5)

    until(heard, 30, f"{KEYS[which]} does nothing")


def test_a_key_that_a_user_gave_outlives_an_obs_that_saves_before_the_filter_has_registered_its_hotkeys(
    obs, ears, watcher, monkeypatch
):
    obs.start()
    add_source(obs, "film", "ffmpeg_source")  # which has hotkeys of OBS's own
    add_filter(obs, "film", port=ears[0].port, ring=own("key"))
    give(obs, 0)
    obs.stop()

    with monkeypatch.context() as changed:
        changed.setenv("LD_PRELOAD", str(watcher))
        changed.setenv("LATENTCAST_NO_HOTKEYS", "1")
        obs.start()
    assert not offered(obs)
    obs.stop()
    obs.start()

    freezes(obs, 0, ears[0])


def test_two_filters_of_one_source_keep_a_key_each_and_a_copy_has_none(obs, ears):
    obs.start()
    add_source(obs, "camera", "color_source_v3", width=64, height=36)
    for which, ear in enumerate(ears):
        add_filter(obs, "camera", f"effect {which}", port=ear.port, ring=own(f"key-{which}"))
        give(obs, which)
    obs.restart()
    freezes(obs, 0, ears[0])
    assert ears[1].heard(0.5) == []
    freezes(obs, 1, ears[1])
    assert ears[0].heard(0.5) == []

    with Ear() as copy:
        add_source(obs, "copy", "color_source_v3", width=64, height=36)
        settings = filter_settings(obs, "camera", "effect 0")
        assert settings["hotkeys"][FREEZE] == [{"key": KEYS[0]}]
        add_filter(obs, "copy", **settings)
        own_port = {"port": copy.port}
        obs.call("SetSourceFilterSettings", sourceName="copy", filterName="effect", filterSettings=own_port)
        until(lambda: offered(obs) == 3)
        freezes(obs, 0, ears[0])
        assert copy.heard(0.5) == []


def test_a_key_from_before_filters_kept_their_own_still_works(obs, ears):
    settings = {"port": ears[0].port, "ring": own("key")}
    obs.scene["hotkeys"] = {FREEZE: [{"key": KEYS[0]}]}
    obs.scene["filters"] = [{"id": FILTER, "name": "effect", "settings": settings}]

    obs.start()

    freezes(obs, 0, ears[0])
