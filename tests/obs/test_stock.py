"""A stock OBS, no plugin: set up, shown our pictures, sending us its own, and left as it was."""

import av
import numpy as np
import pytest

from bridge.adapters.obs import ObsSource
from bridge.adapters.testcard import BACKGROUND, CORNERS, draw_card
from bridge.obs.setup import PICTURE, SCENE, program_settings
from tests.obs.lab import SCENE as LAB
from tests.obs.lab import Lab, free_port, until
from tests.obs.running import Beside, command

WIDTH, HEIGHT = 320, 192  # of a run with the embedded model
CANVAS = (640, 384)  # the same shape, so that the picture fills it


def is_card(picture, atol=6):
    """Whether a picture is the test card the right way up and in its colours, wherever its disc is."""
    height, width = picture.shape[:2]
    near = {"red": (0.1, 0.1), "green": (0.1, 0.9), "blue": (0.82, 0.1), "white": (0.82, 0.9)}
    return all(
        np.allclose(picture[int(y * height), int(x * width), :3], CORNERS[name], atol=atol)
        for name, (y, x) in near.items()
    )


def is_stylised(picture):
    """Whether it is a picture with something on it, and not the card as it is."""
    return picture[..., :3].std() > 10 and not is_card(picture, atol=24)


@pytest.fixture(scope="module")
def shared(display):
    """The OBS of most of these tests."""
    with Lab(display, size=CANVAS) as lab:
        yield lab


@pytest.fixture
def ready(obs):
    """An OBS that was set up for a port of its own, which is on program: (OBS, port)."""
    port = free_port()
    code, said = command(obs, "obs", "setup", "--port", str(port))
    assert code == 0, said
    obs.call("SetCurrentProgramScene", sceneName=SCENE)
    return obs, port


@pytest.fixture
def beside():
    runs = []

    def run(obs, *options, **more):
        runs.append(Beside(obs, *options, **more))
        return runs[-1]

    yield run
    for each in runs:
        each.close()


def test_the_effect_is_in_obs_for_as_long_as_the_run_lasts(ready, beside):
    obs, port = ready
    run = beside(obs, "--out", f"obs:{port}", "--prompt", "thermal")
    run.state("streaming", within=90)
    run.shown(obs, is_stylised, SCENE, 60, "the effect is not in OBS")

    run.say("/bypass", True)  # the card as it is: orientation and colours
    card = run.shown(obs, is_card, SCENE)
    assert (card[..., 3] == 255).all()

    run.say("/bypass", False)
    run.shown(obs, is_stylised, SCENE)
    run.kill_engine()
    run.shown(obs, is_card, SCENE, 60, "OBS does not show the input after the engine was killed")
    run.shown(obs, is_stylised, SCENE, 90, "the effect is not back in OBS")

    obs.restart()
    run.shown(obs, is_stylised, SCENE, 60, "the effect is not in OBS after OBS was restarted")

    run.close()
    obs.shows(lambda picture: not picture.any(), SCENE, 30, "OBS goes on showing a picture of a run that has ended")


def test_a_run_of_another_size_needs_no_new_setup(ready, beside):
    obs, port = ready
    for width, height in ((320, 192), (160, 96)):
        run = beside(obs, "--out", f"obs:{port}", "--size", f"{width}x{height}", "--bypass")

        def is_the_runs(picture, size=(height, width)):
            return picture.shape[:2] == size and is_card(picture)

        run.shown(obs, is_the_runs, PICTURE, 60, f"no picture of {width}x{height}")  # till then, that of the run before
        run.shown(obs, is_card, SCENE)
        run.close()


def test_setting_up_twice_is_setting_up_once_and_removing_leaves_what_is_the_users(obs):
    obs.call("CreateInput", sceneName="Lab", inputName="mine", inputKind="color_source_v3", inputSettings={})
    before = world(obs)

    for _ in range(2):
        code, said = command(obs, "obs", "setup")
        assert code == 0, said
        scenes = [scene["sceneName"] for scene in obs.call("GetSceneList")["scenes"]]
        assert sorted(scenes) == ["Lab", SCENE]
        assert len(obs.call("GetSceneItemList", sceneName=SCENE)["sceneItems"]) == 1
    code, said = command(obs, "obs", "remove")

    assert code == 0, said
    assert world(obs) == before
    assert "nothing of latentcast" in command(obs, "obs", "remove")[1]


def test_a_scene_with_something_of_the_users_in_it_is_kept(obs):
    command(obs, "obs", "setup")
    obs.call("CreateInput", sceneName=SCENE, inputName="mine", inputKind="color_source_v3", inputSettings={})

    said = command(obs, "obs", "remove")[1]

    assert "Kept the scene" in said
    items = obs.call("GetSceneItemList", sceneName=SCENE)["sceneItems"]
    assert [item["sourceName"] for item in items] == ["mine"]


def test_a_source_of_the_user_with_our_name_is_not_touched(obs):
    obs.call("CreateInput", sceneName="Lab", inputName=PICTURE, inputKind="color_source_v3", inputSettings={"color": 7})

    code, said = command(obs, "obs", "setup")

    assert code == 2
    assert "latentcast did not make" in said
    assert "rename" in said
    assert obs.call("GetInputSettings", inputName=PICTURE)["inputSettings"]["color"] == 7


def test_a_source_of_the_user_that_is_called_as_the_scene_should_be_is_not_touched(obs):
    obs.call("CreateInput", sceneName="Lab", inputName="mine", inputKind="color_source_v3", inputSettings={})
    before = world(obs)

    code, said = command(obs, "obs", "setup", "--scene", "mine")

    assert code == 2
    assert "OBS has a source 'mine', which is no scene" in said
    assert "another name after --scene" in said
    assert world(obs) == before


def test_the_program_of_obs_is_an_input_and_the_record_button_is_given_back(make_obs, beside):
    obs = make_obs(size=CANVAS)
    obs.start()
    before = {key: parameter(obs, *key) for key in RECORD}
    port, out = free_port(), free_port()
    code, said = command(obs, "obs", "setup", "--program", "--program-port", str(port), "--port", str(out))
    assert code == 0, said
    assert "Start Recording" in said
    assert "restart" in said
    obs.restart()
    red = {"color": 0xFF2030E0, "width": 320, "height": 384}  # ABGR: the left half of the canvas is (224, 48, 32)
    obs.call("CreateInput", sceneName="Lab", inputName="left", inputKind="color_source_v3", inputSettings=red)
    obs.call("SetCurrentProgramScene", sceneName="Lab")
    run = beside(obs, "--out", f"obs:{out}", "--bypass", source=f"obs:{port}")
    until(lambda: "web page" in run.process.stdout.readline(), 60)

    obs.call("StartRecord")

    def arrived(picture):
        left, right = picture[192, 100, :3], picture[192, 540, :3]
        return np.allclose(left, (224, 48, 32), atol=10) and np.allclose(right, 0, atol=10)

    run.shown(obs, arrived, SCENE, 60, "OBS's program did not come back to it")
    obs.call("StopRecord")
    run.close()
    code, said = command(obs, "obs", "remove")
    assert code == 0, said
    assert {key: parameter(obs, *key) for key in RECORD} == before


def test_colours_that_the_stream_cannot_name_are_said_when_it_is_set_up(make_obs):
    obs = make_obs(size=CANVAS, profile={"Video": {"ColorFormat": "RGB", "ColorSpace": "601"}})
    obs.start()

    code, said = command(obs, "obs", "setup", "--program", "--program-port", str(free_port()))

    assert code == 0, said
    assert "Color Format RGB and Color Space 601" in said
    assert "NV12" in said


@pytest.mark.parametrize("video", [{"ColorRange": "Full"}, {"ColorFormat": "P010"}])
def test_the_program_of_obs_comes_in_its_colours_in_full_range_and_in_ten_bits(make_obs, tmp_path, video):
    port, (width, height) = free_port(), CANVAS
    profile = {"Video": video}
    for key, value in program_settings(port).items():
        section, _, name = key.partition("/")
        profile.setdefault(section, {})[name] = value
    obs = make_obs(size=CANVAS, profile=profile)
    card = av.VideoFrame.from_ndarray(draw_card(width, height), "rgb24")
    with av.open(str(tmp_path / "card.png"), "w", format="image2", options={"update": "1"}) as file:
        image = file.add_stream("png")
        image.width, image.height, image.pix_fmt = width, height, "rgb24"
        file.mux(image.encode(card))
        file.mux(image.encode(None))
    source = ObsSource(str(port))
    source.open(width, height)
    try:
        obs.start()
        settings = {"file": str(tmp_path / "card.png")}
        obs.call("CreateInput", sceneName=LAB, inputName="card", inputKind="image_source", inputSettings=settings)
        obs.call("StartRecord")
        until(lambda: (got := source.read(0.2)) and is_card(got.pixels) and is_grey(got.pixels), 60)
        obs.call("StopRecord")  # else OBS asks, at its end, whether it may
        until(lambda: not obs.call("GetRecordStatus")["outputActive"])
    finally:
        source.close()


def is_grey(picture):
    """Whether the card's ground, in its middle, is as dark as it was sent; a wrong range is ten steps off."""
    return np.allclose(picture[201:204, 330:340], BACKGROUND, atol=3)


RECORD = (
    ("Output", "Mode"),
    ("AdvOut", "RecType"),
    ("AdvOut", "FFURL"),
    ("AdvOut", "FFFormat"),
    ("AdvOut", "FFAudioMixes"),
)


def parameter(obs, category, name):
    return obs.call("GetProfileParameter", parameterCategory=category, parameterName=name)["parameterValue"]


def world(obs):
    """Scenes, what is in them, and sources."""
    scenes = [scene["sceneName"] for scene in obs.call("GetSceneList")["scenes"]]
    items = {
        scene: [item["sourceName"] for item in obs.call("GetSceneItemList", sceneName=scene)["sceneItems"]]
        for scene in scenes
    }
    return items, [each["inputName"] for each in obs.call("GetInputList")["inputs"]]
