"""Following an OBS that makes no sense. tests/obs has the real one."""

from bridge.control.control import EngineStatus
from bridge.obs.address import ObsAddress
from bridge.surfaces.obs_scenes import ObsSurface
from tests.bridge.obs.speaker import Speaker

CURRENT = "GetCurrentProgramScene"


def test_nonsense_is_one_sentence_and_obs_is_followed_again_when_it_talks_sense(desk):
    errors, said = [], {CURRENT: {"scene": 7}}
    desk.control.watch(lambda event: errors.append(event.data["reason"]) if event.kind == "error" else None)
    with Speaker(said=said) as there:
        address = ObsAddress(port=there.port)
        desk.start(ObsSurface(desk.control, lambda: address, {"Break": {"prompt": "ink"}}))
        desk.until(lambda: there.asked.count(CURRENT) >= 3)
        there.said(CURRENT, {"currentProgramSceneName": "Break"})
        desk.until(lambda: desk.control.params.prompt == "ink")

    assert len(errors) == 1
    assert "is not OBS 28 or later" in errors[0]


def test_a_scene_with_a_preset_of_the_users_own_does_not_start_the_engine_again(desk, tmp_path):
    own = tmp_path / "stage.toml"
    own.write_text('extends = "tiny"\n')
    surface = ObsSurface(desk.control, ObsAddress, {})
    for running, asked in (("stage", [("preset", "tiny")]), ("tiny", [("preset", str(own))])):
        desk.performed.clear()
        desk.call(desk.control.publish, engine=EngineStatus(preset=running))
        desk.call(surface._run_preset, str(own))
        desk.call(surface._run_preset, "tiny")
        assert desk.performed == asked
