"""Scenes of the real OBS turn the knobs of a run, and OBS may do what it likes meanwhile."""

import asyncio

import pytest

from bridge.control.control import ControlState
from bridge.obs.address import ObsAddress, find_address
from bridge.obs.client import ObsClient
from bridge.obs.errors import ObsPasswordError, ObsRefused
from bridge.obs.setup import SCENE, STATE
from bridge.surfaces import obs_scenes as surface
from bridge.surfaces.obs_scenes import ObsSurface
from engine.clock import monotonic
from engine.params import Params
from tests.obs.lab import Lab, until
from tests.obs.running import Beside, command

pytest.importorskip("tomlkit", reason="pip install 'latentcast[obs]'")
LOOKS = ("ink", "neon", "gold")


class Desk:
    """A surface on a real event loop, with a desk that does what it is told."""

    def __init__(self, loop, place, scenes, text=""):
        self.loop, self.done, self.said = loop, [], []
        self.control = ControlState(Params(), lambda action, arguments: self.done.append((action, *arguments)))
        self.errors = []
        self.control.watch(lambda event: self.errors.append(event.data["reason"]) if event.kind == "error" else None)
        self.surface = ObsSurface(self.control, place, scenes, text, self.said.append)

    def turn(self, seconds=0.02):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def until(self, look, what="it never happened", within=30.0):
        def looked():
            self.turn()
            return look()

        return until(looked, within, what)

    def prompt(self, wanted):
        self.until(lambda: self.control.params.prompt == wanted, lambda: f"{self.control.params} {self.errors}")


@pytest.fixture
def desk():
    loop, desks = asyncio.new_event_loop(), []

    def make(place, scenes, text=""):
        desks.append(Desk(loop, place, scenes, text))
        loop.run_until_complete(desks[-1].surface.start())
        return desks[-1]

    yield make
    for each in desks:
        loop.run_until_complete(each.surface.stop())
    loop.close()


@pytest.fixture(scope="module")
def obs(display):
    """One for the tests that only switch scenes."""
    with Lab(display) as lab:
        add_scenes(lab)
        yield lab


@pytest.fixture
def mortal(make_obs):
    """One that may be ended."""
    lab = make_obs()
    lab.start()
    add_scenes(lab)
    return lab


def add_scenes(lab):
    for look in LOOKS:
        lab.call("CreateScene", sceneName=f"Scene {look}")


@pytest.fixture
def scenes():
    """What the scenes of these tests ask for."""
    return {f"Scene {look}": {"prompt": look, "fade": 1.5} for look in LOOKS}


def place(obs):
    return lambda: ObsAddress(port=obs.port, password=obs.password)


def switch(obs, look):
    obs.call("SetCurrentProgramScene", sceneName=f"Scene {look}")


def test_a_scene_changes_the_prompt_and_the_fade(obs, scenes, desk):
    mine = desk(place(obs), scenes)
    switch(obs, "neon")

    mine.prompt("neon")

    assert mine.control.params.fade == 1.5
    assert not mine.errors


def test_the_scene_that_is_on_at_the_start_counts(obs, scenes, desk):
    switch(obs, "gold")

    desk(place(obs), scenes).prompt("gold")


def test_a_scene_that_nothing_is_said_of_changes_nothing(obs, scenes, desk):
    mine = desk(place(obs), scenes)
    switch(obs, "neon")
    mine.prompt("neon")

    obs.call("SetCurrentProgramScene", sceneName="Lab")
    mine.turn(1.0)

    assert mine.control.params.prompt == "neon"


@pytest.mark.endurance
def test_a_hundred_switches_at_ten_a_second_end_on_the_last_one(obs, scenes, desk):
    mine = desk(place(obs), scenes)
    seen = []
    mine.control.watch(lambda event: seen.append(event.data.get("prompt")) if event.kind == "changed" else None)
    due = monotonic()
    for number in range(100):
        switch(obs, LOOKS[number % 3])
        due += 0.1
        mine.turn(max(0.02, due - monotonic()))

    last = LOOKS[99 % 3]
    mine.prompt(last)
    mine.turn(1.0)

    assert mine.control.params.prompt == last
    assert len(seen) > 30, "most switches were heeded on the way"


def test_only_a_scene_that_stays_runs_its_preset(obs, scenes, desk, monkeypatch):
    monkeypatch.setattr(surface, "PRESET_DELAY", 3.0)  # so that a busy machine is no scene that stays
    scenes["Scene ink"] = {"preset": "tiny"}
    mine = desk(place(obs), scenes)
    mine.until(lambda: mine.said)
    for _ in range(3):
        switch(obs, "ink")
        mine.turn(0.1)
        switch(obs, "neon")
        mine.turn(0.1)
    mine.turn(4.0)
    assert mine.done == []

    switch(obs, "ink")

    mine.until(lambda: mine.done == [("preset", "tiny")])


def test_obs_may_be_restarted_and_the_scene_is_read_anew(mortal, scenes, desk):
    obs = mortal
    mine = desk(place(obs), scenes)
    switch(obs, "ink")
    mine.prompt("ink")

    obs.stop()
    mine.until(lambda: any("has gone" in line for line in mine.said), "nobody noticed that OBS has gone")
    obs.start()
    switch(obs, "gold")
    mine.prompt("gold")
    obs.kill()
    mine.until(lambda: sum("has gone" in line for line in mine.said) == 2, "nobody noticed that OBS was killed")
    obs.start()
    switch(obs, "neon")

    mine.prompt("neon")


def test_obs_may_be_started_long_after(make_obs, desk):
    late = make_obs()
    mine = desk(place(late), {"Lab": {"prompt": "gold"}})
    mine.until(lambda: mine.errors)
    mine.turn(2.0)
    assert len(mine.errors) == 1, "it is said once"
    assert "start OBS" in mine.errors[0]

    late.start()

    mine.prompt("gold")


def test_a_wrong_password_is_tried_once_and_the_right_one_taken_when_it_comes(obs, scenes, desk):
    asked = []

    def find():
        asked.append(1)
        return ObsAddress(port=obs.port, password="wrong" if len(asked) < 3 else obs.password)

    switch(obs, "neon")
    refused = obs.log.count("code `4009`")
    mine = desk(find, scenes)
    mine.until(lambda: mine.errors)
    assert "takes another password" in mine.errors[0]

    mine.prompt("neon")

    assert obs.log.count("code `4009`") == refused + 1
    assert "wrong" not in " ".join(mine.errors + mine.said)


def test_the_state_is_written_into_a_text_source(obs, desk):
    command(obs, "obs", "setup", "--state")
    mine = desk(place(obs), {}, STATE)  # whatever scene the test before left on, it changes nothing

    def text():
        return obs.call("GetInputSettings", inputName=STATE)["inputSettings"]["text"]

    mine.until(lambda: "offline  watercolor" in text())
    mine.control.set("prompt", "neon")
    mine.control.publish(state="streaming")

    mine.until(lambda: "streaming  neon" in text())
    assert command(obs, "obs", "remove")[0] == 0


def test_a_text_source_that_is_not_there_is_told_of_once(obs, scenes, desk):
    mine = desk(place(obs), scenes, "nothing")
    mine.until(lambda: mine.errors)
    mine.turn(2.0)

    assert len(mine.errors) == 1
    assert "--state" in mine.errors[0]


def test_a_run_follows_the_scenes_of_its_configuration_file(mortal, scenes, tmp_path):
    obs = mortal
    config = tmp_path / "bridge.toml"
    for look in LOOKS:
        code, said = command(obs, "obs", "map", f"Scene {look}", "--prompt", look, "--config", str(config))
        assert code == 0, said
    run = Beside(obs, "--config", str(config))
    try:
        until(lambda: "following OBS" in run.process.stdout.readline(), 60)
        for look in ("neon", "ink"):
            switch(obs, look)
            run.prompt(look)
        obs.restart()
        switch(obs, "gold")
        run.prompt("gold")
    finally:
        run.close()
    assert obs.password not in "".join(run.said)


# ---- the client


def test_the_password_is_found_in_the_files_of_obs(obs, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(obs.folder / "config"))

    with ObsClient(find_address()) as client:
        assert client.version[0].isdigit()


def test_a_refusal_has_its_code_and_its_comment(obs):
    with ObsClient(place(obs)()) as client, pytest.raises(ObsRefused, match="nobody") as error:
        client.ask("GetInputSettings", inputName="nobody")

    assert error.value.code == 600


@pytest.mark.parametrize("password, word", [("wrong-one", "takes another"), ("", "wants a")])
def test_a_wrong_password_is_one_sentence_and_never_shown(obs, password, word, caplog):
    caplog.set_level("DEBUG")
    with pytest.raises(ObsPasswordError, match=word) as error:
        ObsClient(ObsAddress(port=obs.port, password=password))

    assert "Show Connect Info" in error.value.hint
    assert not password or password not in caplog.text + error.value.sentence + repr(error.value)


def test_who_waits_for_an_answer_is_told_when_obs_dies(mortal):
    obs = mortal
    with ObsClient(place(obs)()) as client:
        obs.kill()

        began = monotonic()
        with pytest.raises(Exception, match="has gone|does not answer"):
            client.ask("GetVersion")
        assert monotonic() - began < 5


def test_setup_without_obs_says_what_to_do(make_obs):
    lab = make_obs()

    code, said = command(lab, "obs", "setup", "--obs-port", str(lab.port))

    assert code == 2
    assert "does not answer" in said
    assert "WebSocket Server Settings" in said


def test_setup_with_a_wrong_password_says_what_to_do(obs):
    changed = {**obs.environment, "LATENTCAST_OBS_PASSWORD": "wrong-one"}
    obs_with = type("World", (), {"environment": changed})

    code, said = command(obs_with, "obs", "setup", "--obs-port", str(obs.port))

    assert code == 2
    assert "takes another password" in said
    assert "wrong-one" not in said
    assert SCENE not in str(obs.call("GetSceneList"))
