"""`latentcast obs setup` and `remove` where OBS makes no sense. tests/obs has the real one."""

import json
from types import SimpleNamespace

import pytest

from bridge.cli.commands import main
from bridge.errors import BridgeError
from bridge.obs import setup
from bridge.obs.address import PASSWORD, ObsAddress
from bridge.obs.client import ObsClient
from bridge.obs.errors import NotObs
from bridge.obs.setup import (
    MEDIA_KIND,
    MEMORY_KEY,
    PICTURE,
    STATE,
    TEXT_KINDS,
    SetupOptions,
    hangs,
    remove,
    set_up,
    wake,
)
from tests.bridge.obs.speaker import Speaker

MEMORY = {"made_scene": "Latentcast", "was": {"Mine/Output/Mode": "Simple", "Mine/AdvOut/FFURL": None}}
OURSELVES = [{"inputName": PICTURE, "inputKind": MEDIA_KIND}, {"inputName": STATE, "inputKind": TEXT_KINDS[0]}]
SENSE = {
    "GetInputList": {"inputs": []},
    "GetInputSettings": {"inputSettings": {MEMORY_KEY: json.dumps(MEMORY)}},
    "GetSceneList": {"scenes": [{"sceneName": "Mine"}]},
    "GetInputKindList": {"inputKinds": list(TEXT_KINDS)},
    "GetRecordStatus": {"outputActive": False},
    "GetStreamStatus": {"outputActive": False},
    "GetProfileList": {"currentProfileName": "Mine", "profiles": ["Mine"]},
    "GetProfileParameter": {"parameterValue": None},
    "GetVideoSettings": {"baseWidth": 640, "baseHeight": 360},
    "CreateInput": {"sceneItemId": 1},
    "CreateSceneItem": {"sceneItemId": 1},
    "GetSceneItemId": {"sceneItemId": 1},
    "GetSceneItemList": {"sceneItems": []},
    "GetMediaInputStatus": {"mediaState": "OBS_MEDIA_STATE_PLAYING", "mediaCursor": 0},
}
NONSENSE = (7, 1.5, "x", None, True, [7], [[]], [{}], {}, {"a": [1]})
DEEDS = (lambda obs: set_up(obs, SetupOptions(program=True, state=True)), remove, hangs, wake)
ANYTHING = [(request, key) for request, answer in SENSE.items() for key in answer]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(setup, "REMOVE_TIMEOUT", 0.005)
    monkeypatch.setattr(setup, "time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.mark.parametrize(("request_", "key"), ANYTHING)
def test_whatever_obs_answers_is_done_or_said_in_one_sentence(request_, key):
    answers = [{**SENSE[request_], key: nonsense} for nonsense in NONSENSE]
    if isinstance(rows := SENSE[request_][key], list) and rows and isinstance(rows[0], dict):
        answers += [{key: [{**rows[0], name: nonsense}]} for name in rows[0] for nonsense in NONSENSE]
    with Speaker(said=SENSE) as there, ObsClient(ObsAddress(port=there.port)) as obs:
        for answer in answers:
            for inputs in ([], OURSELVES):
                there.said("GetInputList", {"inputs": inputs})
                there.said(request_, answer)
                for deed in DEEDS:
                    try:
                        deed(obs)
                    except BridgeError as error:
                        assert error.hint or isinstance(error, NotObs), str(error)


@pytest.mark.parametrize(
    "noted",
    ["", "{", "[]", "7", "null", 7, None, {"was": {}}, '{"was": 7}', '{"was": {"Mode": "x"}}']
    + ['{"was": {"Mine/Output/Mode": []}}', '{"made_scene": 7}'],
)
@pytest.mark.parametrize("deed", [DEEDS[0], remove])
def test_a_memory_in_obs_that_was_damaged_is_said_with_a_next_step_and_nothing_is_changed(noted, deed):
    said = {**SENSE, "GetInputList": {"inputs": OURSELVES}, "GetInputSettings": {"inputSettings": {MEMORY_KEY: noted}}}
    damaged = Speaker(said=said)
    with damaged as there, ObsClient(ObsAddress(port=there.port)) as obs, pytest.raises(BridgeError) as error:
        deed(obs)

    assert "cannot be read" in str(error.value)
    assert "remove that source" in error.value.hint
    assert all(asked.startswith("Get") for asked in there.asked)


def test_record_settings_changed_in_two_profiles_are_given_back_in_each_and_a_profile_that_was_deleted_is_no_obstacle():
    was = {"One/Output/Mode": "Simple", "Two/Output/Mode": "Simple", "Gone/Output/Mode": "Simple"}
    answers = {**SENSE, "GetInputList": {"inputs": OURSELVES}}
    answers["GetInputSettings"] = {"inputSettings": {MEMORY_KEY: json.dumps({"was": was})}}
    answers["GetProfileList"] = {"currentProfileName": "Two", "profiles": ["One", "Two"]}
    with Speaker(said=answers) as there, ObsClient(ObsAddress(port=there.port)) as obs:
        with pytest.raises(BridgeError, match="profile 'One'") as error:
            remove(obs)
        assert "choose the profile 'One'" in error.value.hint
        assert [data["parameterValue"] for name, data in there.questions if name == "SetProfileParameter"] == ["Simple"]
        (kept,) = [data["inputSettings"] for name, data in there.questions if name == "SetInputSettings"]

        there.said("GetInputSettings", {"inputSettings": kept})
        there.said("GetProfileList", {"currentProfileName": "One", "profiles": ["One", "Two"]})
        assert any("as before" in sentence for sentence in remove(obs))

    assert json.loads(kept[MEMORY_KEY]) == {"was": {"One/Output/Mode": "Simple"}}
    assert [name for name, _ in there.questions].count("SetProfileParameter") == 2


@pytest.mark.parametrize("name", ["", "  "])
def test_a_scene_without_a_name_is_refused_before_obs_is_asked_for_anything(monkeypatch, capsys, name):
    monkeypatch.setenv(PASSWORD, "")
    with Speaker(said=SENSE) as there:
        assert main(["obs", "setup", "--obs-port", str(there.port), "--scene", name]) == 2
        assert there.asked == []

    said = capsys.readouterr().err
    assert "a scene needs a name" in said
    assert "leave out --scene" in said


def test_the_command_says_it_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setenv(PASSWORD, "")
    with Speaker(said={**SENSE, "GetSceneList": {"scenes": [7]}}) as there:
        assert main(["obs", "setup", "--obs-port", str(there.port)]) != 0

    said = capsys.readouterr().err
    assert "is not OBS 28 or later" in said
    assert "Traceback" not in said
