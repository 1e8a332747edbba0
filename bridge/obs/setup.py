"""
`latentcast obs setup` and `remove`: what a stock OBS needs to have our pictures in it, and nothing that is not ours.

What we made, and what a setting was before, is stored inside OBS: as JSON in the settings of our own source, under
MEMORY_KEY, since OBS drops null values. OBS keeps keys it does not know, so this stays with the scene collection.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError
from bridge.obs.client import Answer, ObsClient
from bridge.obs.errors import ObsRefused
from bridge.obs.wire import CONTAINER, HOST, PICTURE_PORT, PROGRAM_PORT
from engine.clock import monotonic

SCENE = "Latentcast"
PICTURE = "Latentcast picture"
STATE = "Latentcast state"
MEMORY_KEY = "latentcast"  # key of our memory in the settings of PICTURE
MEDIA_KIND = "ffmpeg_source"
TEXT_KINDS = ("text_gdiplus_v3", "text_gdiplus_v2", "text_ft2_source_v2")  # kinds of text, by preference
REMOVE_TIMEOUT = 5.0  # seconds
OTHER_COLOURS = ("RGB", "BGRA", "601", "2100PQ", "2100HLG")  # not the 4:2:0 in BT.709 that `--in obs` takes for granted
MISSING, TAKEN = 600, 601  # what OBS answers about something that does not exist, and about a name that does


class NotOurs(BridgeError):
    """Something of the user's has a name that we need."""


@dataclass(frozen=True, slots=True)
class SetupOptions:
    """What to set up.

    scene: name of the scene that shows our picture.   port: where `--out obs` listens.
    program: send OBS's program to `--in obs`, by its record button; `program_port` is where that listens.
    state: also make a text source that says how the run stands.
    Raises BridgeError for a scene without a name.
    """

    scene: str = SCENE
    port: int = PICTURE_PORT
    program: bool = False
    program_port: int = PROGRAM_PORT
    state: bool = False

    def __post_init__(self) -> None:
        if not self.scene.strip():
            raise BridgeError("a scene needs a name", f"leave out --scene, and it is called {SCENE!r}")


def set_up(obs: ObsClient, wanted: SetupOptions) -> list[str]:
    """Make what is missing and set what differs; one sentence for each thing done or found. Doing it twice is fine.

    Raises NotOurs, ObsRefused or ObsAway.
    """
    memory = _memory(obs)
    noted = dict(memory)
    said = [_scene(obs, wanted.scene, memory)]
    if wanted.program:
        _note_program(obs, wanted.program_port, memory)
    said.append(_picture(obs, wanted, memory))
    if noted and memory != noted:
        _remember(
            obs, memory
        )  # not for a source that was just made: OBS 29 may lose a Media source set anew while it opens
    if wanted.state:
        said.append(_state(obs, wanted.scene))
    if wanted.program:
        said += [_program(obs, wanted.program_port), *_colours(obs)]
    return said


def remove(obs: ObsClient) -> list[str]:
    """Undo all that `set_up` did, and only that; one sentence for each thing. Raises ObsRefused or ObsAway."""
    memory = _memory(obs)
    said = []
    if "was" in memory:
        _restore(obs, memory)
        said.append("The record settings are as before; restart OBS to apply them.")
    for name in (STATE, PICTURE):
        if _made_by_us(obs, name):
            _remove_input(obs, name)
            said.append(f"Removed the source {name!r}.")
    if memory.get("made_scene"):
        said.append(_remove_scene(obs, memory["made_scene"]))
    return said or ["There is nothing of latentcast in this scene collection."]


def _restore(obs: ObsClient, memory: dict[str, Any]) -> None:
    """Set the record settings to what they were. Raises BridgeError for those of a profile that has to be chosen first.

    Those of a profile that is no more are gone with it.
    """
    profiles = obs.ask("GetProfileList")
    current, known = profiles.text("currentProfileName"), profiles.texts("profiles")
    others = {key: value for key, value in memory["was"].items() if _profile_of(key) != current}
    for key in memory["was"].keys() - others.keys():
        _set(obs, key, memory["was"][key])
    if left := {key: value for key, value in others.items() if _profile_of(key) in known}:
        _remember(obs, {**memory, "was": left})
        name = _profile_of(next(iter(left)))
        hint = f"choose the profile {name!r} in OBS, and try again"
        raise BridgeError(f"the record settings of the profile {name!r} were changed, another one is on", hint)


def _profile_of(key: str) -> str:
    return key.rsplit("/", 2)[0]


def _scene(obs: ObsClient, name: str, memory: dict[str, Any]) -> str:
    if name in _scenes(obs):
        return f"The scene {name!r} is there."
    try:
        obs.ask("CreateScene", sceneName=name)
    except ObsRefused as error:
        if error.code != TAKEN:
            raise
        raise NotOurs(f"OBS has a source {name!r:.80}, which is no scene", "use another name after --scene") from error
    memory["made_scene"] = name
    return f"Made the scene {name!r}."


def _picture(obs: ObsClient, wanted: SetupOptions, memory: dict[str, Any]) -> str:
    settings = media_settings(wanted.port)
    if PICTURE not in _inputs(obs):
        made = {"sceneName": wanted.scene, "inputName": PICTURE, "inputKind": MEDIA_KIND}
        made_one = obs.ask("CreateInput", **made, inputSettings={**settings, MEMORY_KEY: json.dumps(memory)})
        _fit(obs, wanted.scene, made_one.number("sceneItemId"))
        return f"Made the Media source {PICTURE!r} in it, which plays what `--out obs` sends to port {wanted.port}."
    now = _settings(obs, PICTURE)
    if any(now.get(key) != value for key, value in settings.items()):
        obs.ask("SetInputSettings", inputName=PICTURE, inputSettings=settings)
        return f"Set the Media source {PICTURE!r} to port {wanted.port}."
    if _item(obs, wanted.scene, PICTURE) is None:
        _fit(obs, wanted.scene, _add(obs, wanted.scene, PICTURE))
        return f"Put the Media source {PICTURE!r} into {wanted.scene!r}."
    return f"The Media source {PICTURE!r} is there and plays port {wanted.port}."


def hangs(obs: ObsClient) -> bool:
    """Whether our Media source claims to play and does not: it waits for nobody, and tries no more."""
    found = _ask_if_there(obs, "GetMediaInputStatus", inputName=PICTURE)
    return bool(found) and found["mediaState"] == "OBS_MEDIA_STATE_PLAYING" and not found["mediaCursor"]


def wake(obs: ObsClient) -> None:
    """Have our Media source connect anew: setting it to what it is makes it begin again, which restarting does not."""
    if settings := _ask_if_there(obs, "GetInputSettings", inputName=PICTURE):
        _ask_if_there(obs, "SetInputSettings", inputName=PICTURE, inputSettings=settings["inputSettings"])


def media_settings(port: int) -> dict[str, Any]:
    """The settings of OBS's Media source (ffmpeg_source) that show our pictures at once and wait for us for ever."""
    return {
        "is_local_file": False,
        "input": f"tcp://{HOST}:{port}",
        "input_format": CONTAINER,
        "ffmpeg_options": "fflags=nobuffer probesize=32",
        "buffering_mb": 0,
        "reconnect_delay_sec": 1,
        "clear_on_media_end": False,  # OBS clears it all the same once it tries to connect again
        "restart_on_activate": False,
        "close_when_inactive": False,
        "hw_decode": False,
    }


def _state(obs: ObsClient, scene: str) -> str:
    if STATE in _inputs(obs):
        return f"The text {STATE!r} is there."
    kinds = obs.ask("GetInputKindList").texts("inputKinds")
    kind = next((kind for kind in TEXT_KINDS if kind in kinds), None)
    if kind is None:
        raise BridgeError("this OBS has no text source", "leave out --state")
    settings = {"text": "latentcast is not running", MEMORY_KEY: "{}"}
    obs.ask("CreateInput", sceneName=scene, inputName=STATE, inputKind=kind, inputSettings=settings)
    return f"Made the text {STATE!r}, which shows the state of a run with `--obs-text {STATE!r}`."


def _note_program(obs: ObsClient, port: int, memory: dict[str, Any]) -> None:
    """Note down what the record settings are, before anything is changed. Raises BridgeError while they are in use."""
    if _sends_program(obs, port):
        return
    if obs.ask("GetRecordStatus")["outputActive"] or obs.ask("GetStreamStatus")["outputActive"]:
        raise BridgeError("OBS is recording or streaming", "stop that first: the record settings are about to change")
    profile = _profile(obs)
    was = {f"{profile}/{key}": _get(obs, key) for key in program_settings(port)}
    memory["was"] = {**was, **memory.get("was", {})}


def _sends_program(obs: ObsClient, port: int) -> bool:
    return all(_get(obs, key) == value for key, value in program_settings(port).items())


def _program(obs: ObsClient, port: int) -> str:
    if _sends_program(obs, port):
        return f"Start Recording sends OBS's program to `--in obs` on port {port}."
    profile = _profile(obs)
    for key, value in program_settings(port).items():
        _set(obs, f"{profile}/{key}", value)
    return (
        f"Start Recording will send OBS's program to `--in obs` on port {port} instead of writing a file, once you have"
        " restarted OBS. `latentcast obs remove` gives the record button back."
    )


def _colours(obs: ObsClient) -> list[str]:
    """A sentence about colours that would arrive as others: the stream does not say how they are to be read."""
    chosen = {"Color Format": _get(obs, "Video/ColorFormat"), "Color Space": _get(obs, "Video/ColorSpace")}
    odd = [f"{name} {value}" for name, value in chosen.items() if value in OTHER_COLOURS]
    if not odd:
        return []
    return [
        f"Colours will be wrong with OBS's {' and '.join(odd)}: choose NV12 and Rec. 709 in its Settings, Advanced."
    ]


def program_settings(port: int) -> dict[str, str]:
    """What makes OBS's record button a Custom Output (FFmpeg) to us: {section/name of the profile: value}.

    yuv4 is OBS's own 4:2:0 in another order, no compression. FFmpeg's rawvideo will not do: OBS gives its encoders a
    thread for each processor, and that one then keeps as many pictures back (obs-ffmpeg-output.c; an option to say
    otherwise is dropped there for an encoder that has none of its own).
    """
    return {
        "Output/Mode": "Advanced",
        "AdvOut/RecType": "FFmpeg",
        "AdvOut/FFOutputToFile": "false",
        "AdvOut/FFURL": f"tcp://{HOST}:{port}",
        "AdvOut/FFFormat": CONTAINER,
        "AdvOut/FFVEncoderId": "205",  # FFmpeg's number of yuv4, in its versions 5 to 7; the name decides
        "AdvOut/FFVEncoder": "yuv4",
        "AdvOut/FFAEncoderId": "0",
        "AdvOut/FFAEncoder": "",
        "AdvOut/FFAudioMixes": "0",  # sound would make the pictures wait for it
        "AdvOut/FFIgnoreCompat": "true",
        "AdvOut/FFVGOPSize": "1",
        "AdvOut/FFRescale": "false",
    }


def _made_by_us(obs: ObsClient, name: str) -> bool:
    return name in _inputs(obs) and MEMORY_KEY in _settings(obs, name)


def _remove_input(obs: ObsClient, name: str) -> None:
    """Remove a source, and wait until it is gone: OBS says yes first, and does it later.

    First from each scene, since OBS would only do that once the scene is shown.
    """
    for scene in _scenes(obs):
        deadline = monotonic() + REMOVE_TIMEOUT
        while (item := _item(obs, scene, name)) is not None and monotonic() < deadline:
            obs.ask("RemoveSceneItem", sceneName=scene, sceneItemId=item)
    _ask_if_there(obs, "RemoveInput", inputName=name)  # a source that is in no scene any more may have gone by itself
    deadline = monotonic() + REMOVE_TIMEOUT
    while name in _inputs(obs) and monotonic() < deadline:
        time.sleep(0.05)


def _get(obs: ObsClient, key: str) -> str | None:
    section, _, name = key.partition("/")
    asked = {"parameterCategory": section, "parameterName": name}
    answer = obs.ask("GetProfileParameter", **asked)
    return None if answer["parameterValue"] is None else answer.text("parameterValue")


def _profile(obs: ObsClient) -> str:
    """The current one's name."""
    return obs.ask("GetProfileList").text("currentProfileName")


def _set(obs: ObsClient, key: str, value: str | None) -> None:
    """Set `profile/section/name`, whose profile is the current one: OBS lets nobody write to another."""
    _, section, name = key.rsplit("/", 2)
    if value is None and _get(obs, f"{section}/{name}") is None:
        return  # OBS refuses to unset what is not set
    obs.ask("SetProfileParameter", parameterCategory=section, parameterName=name, parameterValue=value)


def _memory(obs: ObsClient) -> dict[str, Any]:
    """What we noted down last time; {} if we were never here. Raises NotOurs if our name is somebody else's."""
    kind = _inputs(obs).get(PICTURE)
    if kind is None:
        return {}
    settings = _settings(obs, PICTURE)
    if kind != MEDIA_KIND or MEMORY_KEY not in settings:
        raise NotOurs(f"OBS has a source {PICTURE!r} that latentcast did not make", "rename that one in OBS")
    return _recall(settings[MEMORY_KEY])


def _recall(noted: Any) -> dict[str, Any]:
    """Our memory as it was noted down. Raises BridgeError for what `_remember` would not have written."""
    try:
        memory: dict[str, Any] = json.loads(noted)
        was = dict(memory.get("was", {}))
        whole = all(key.count("/") >= 2 and isinstance(value, str | None) for key, value in was.items())
        if whole and isinstance(memory.get("made_scene", ""), str):
            return memory
    except (ValueError, TypeError, AttributeError):
        pass
    hint = "remove that source in OBS, and run `latentcast obs setup` again"
    raise BridgeError(f"what latentcast noted down in OBS's source {PICTURE!r} cannot be read", hint)


def _remember(obs: ObsClient, memory: Mapping[str, Any]) -> None:
    obs.ask("SetInputSettings", inputName=PICTURE, inputSettings={MEMORY_KEY: json.dumps(memory)})


def _fit(obs: ObsClient, scene: str, item: int) -> None:
    """Fill the canvas with the picture's shape kept, whatever its size turns out to be."""
    canvas = obs.ask("GetVideoSettings")
    bounds = {"boundsType": "OBS_BOUNDS_SCALE_INNER", "boundsAlignment": 0, "alignment": 5, "positionX": 0}
    size = {"positionY": 0, "boundsWidth": canvas.number("baseWidth"), "boundsHeight": canvas.number("baseHeight")}
    obs.ask("SetSceneItemTransform", sceneName=scene, sceneItemId=item, sceneItemTransform={**bounds, **size})


def _add(obs: ObsClient, scene: str, source: str) -> int:
    return obs.ask("CreateSceneItem", sceneName=scene, sourceName=source).number("sceneItemId")


def _item(obs: ObsClient, scene: str, source: str) -> int | None:
    found = _ask_if_there(obs, "GetSceneItemId", sceneName=scene, sourceName=source)
    return found.number("sceneItemId") if found else None


def _ask_if_there(obs: ObsClient, request: str, **data: Any) -> Answer:
    """The answer, or {} if what is asked about does not exist."""
    try:
        return obs.ask(request, **data)
    except ObsRefused as error:
        if error.code != MISSING:
            raise
        return Answer(obs.address, {})


def _remove_scene(obs: ObsClient, name: str) -> str:
    if name not in _scenes(obs):
        return f"The scene {name!r} is gone already."
    if obs.ask("GetSceneItemList", sceneName=name).tables("sceneItems"):
        return f"Kept the scene {name!r}, because there is something of yours in it."
    if len(_scenes(obs)) == 1:
        return f"Kept the scene {name!r}, because OBS needs one."
    obs.ask("RemoveScene", sceneName=name)
    return f"Removed the scene {name!r}."


def _inputs(obs: ObsClient) -> dict[str, str]:
    """Name -> kind of every source there is."""
    return {each.text("inputName"): each.text("inputKind") for each in obs.ask("GetInputList").tables("inputs")}


def _scenes(obs: ObsClient) -> set[str]:
    return {each.text("sceneName") for each in obs.ask("GetSceneList").tables("scenes")}


def _settings(obs: ObsClient, name: str) -> Answer:
    """What a source is set to, as far as it differs from its defaults."""
    return obs.ask("GetInputSettings", inputName=name).table("inputSettings")
