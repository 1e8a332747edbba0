"""The plugin in a real OBS: exact pixels both ways, the dry picture whenever there is no effect, nobody in the way."""

import time

import numpy as np
import pytest

from bridge.rings.layout import KINDS, OWNER
from bridge.rings.ring import ring_names
from engine.clock import monotonic
from tests.obs.lab import SCENE, Lab, until
from tests.obs.plugin import Ear, Follower, Writer, add_filter, add_source, card, filter_settings, near, own

DRY, WET = card(320, 180), card(320, 180)[::-1, ::-1].copy()


@pytest.fixture(scope="module")
def shared(display, library):
    """The OBS of these tests, with the plugin."""
    lab = Lab(display)
    lab.install_plugin(library)
    with lab:
        yield lab


@pytest.fixture
def filtered(obs):
    """A source that shows DRY, filtered by a filter whose rings only this test knows."""
    with Writer(own("dry"), DRY) as ring, Follower(own("out")) as out:
        add_source(obs, "camera", ring=ring.name)
        obs.shows(lambda seen: near(seen[..., :3], DRY[..., :3], 0), "camera")
        add_filter(obs, "camera", ring=out.name, answer=own("wet"))
        yield out


def shows(obs, wanted, source="camera", off=0):
    return obs.shows(lambda seen: near(seen[..., :3], wanted[..., :3], off), source)


# ---- the source


def test_the_source_shows_a_ring_pixel_for_pixel(obs):
    wanted = card(321, 181)
    with Writer(own("show"), wanted) as ring:
        add_source(obs, "show", ring=ring.name)

        shows(obs, wanted, "show")


def test_the_source_keeps_what_is_transparent(obs):
    wanted = card(320, 180, alpha=True)
    with Writer(own("clear"), wanted) as ring:
        add_source(obs, "clear", ring=ring.name)

        obs.shows(lambda seen: near(seen, wanted), "clear")


def test_the_source_offers_the_rings_there_are(obs):
    with Writer(own("listed"), DRY) as ring:
        add_source(obs, "show")
        items = obs.call("GetInputPropertiesListPropertyItems", inputName="show", propertyName="ring")

        assert ring.name in [item["itemValue"] for item in items["propertyItems"]]


def test_the_source_holds_the_last_picture_then_says_that_it_waits(obs):
    with Writer(own("gone"), DRY) as ring:
        add_source(obs, "show", ring=ring.name, hold=4.0)
        shows(obs, DRY, "show")
    assert near(obs.screenshot("show")[..., :3], DRY[..., :3]), "held"

    slate = obs.shows(lambda seen: not near(seen[..., :3], DRY[..., :3], 40), "show")

    assert slate.shape[:2] == (180, 320), "the place in the scene stays the same"
    assert slate[..., :3].min() > 10, "not black"
    assert np.ptp(slate[..., :3].astype(int)) > 100, "something stands on it"


def test_the_source_follows_a_ring_that_comes_back_with_another_size(obs):
    with Writer(own("again"), DRY) as ring:
        add_source(obs, "show", ring=ring.name)
        shows(obs, DRY, "show")
    other = card(201, 133)
    with Writer(own("again"), other):
        shows(obs, other, "show")


def test_a_ring_of_another_version_is_explained_once_in_the_log(obs):
    with Writer(own("v2"), DRY) as ring:
        ring.ring._memory.buf[8] = 2
        add_source(obs, "show", ring=ring.name)
        sentence = f"ring {ring.name} speaks version 2, format 1, and this plugin version 1"
        until(lambda: sentence in obs.log, what="no word of it")
        time.sleep(1.0)

        assert obs.log.count(sentence) == 1


def test_a_writer_that_stands_still_holds_nobody_up(obs):
    with Writer(own("still"), DRY) as ring:
        add_source(obs, "show", ring=ring.name, hold=1.0)
        shows(obs, DRY, "show")
        ring.running.clear()
        obs.shows(lambda seen: not near(seen[..., :3], DRY[..., :3], 40), "show")
        ring.running.set()

        shows(obs, DRY, "show")


# ---- the filter


def test_the_filter_writes_exactly_what_it_filters(filtered):
    filtered.shows(lambda seen: near(seen, DRY, 0))


def test_the_filter_stamps_what_it_writes_by_the_clock_that_python_reads(filtered):
    began = monotonic()

    moment, _ = until(lambda: (seen := filtered.newest()) and seen[1][0] >= began and seen[1])

    assert moment <= monotonic()


def test_the_filter_shows_the_answer_in_place_of_the_source(obs, filtered):
    with Writer(own("wet"), WET):
        shows(obs, WET)
        filtered.shows(lambda seen: near(seen, DRY, 0), what="the effect must not come back as input")


def test_an_answer_of_another_size_is_stretched_over_the_source(obs, filtered):
    with Writer(own("wet"), np.ascontiguousarray(WET[::2, ::2])):
        seen = obs.shows(lambda seen: not near(seen[..., :3], DRY[..., :3], 60), "camera")

    assert seen.shape[:2] == (180, 320)
    assert np.median(np.abs(seen[..., :3].astype(int) - WET[..., :3])) <= 4


def test_the_source_itself_is_shown_when_the_answer_ends_stalls_or_is_only_the_input(obs, filtered):
    with Writer(own("wet"), WET) as answer:
        shows(obs, WET)
        answer.running.clear()
        shows(obs, DRY)
        answer.running.set()
        shows(obs, WET)
        answer.kind = KINDS["input"]
        shows(obs, DRY)
        answer.kind = KINDS["slate"]
        shows(obs, WET)
    shows(obs, DRY)


def test_the_last_picture_of_a_run_that_was_killed_is_not_shown_as_if_it_were_new(obs, filtered):
    with Writer(own("wet"), WET, KINDS["effect"]) as answer:
        shows(obs, WET)
        answer.running.clear()
        answer.ring._words[OWNER] = 2**22 - 3  # a process that no Linux numbers so
        shows(obs, DRY)
        deadline = monotonic() + 2.5
        while monotonic() < deadline:
            assert near(obs.screenshot("camera")[..., :3], DRY[..., :3], 0)

        until(lambda: "the program that made it has ended" in obs.log, what="no word of it")


def test_what_sets_a_filter_by_remote_control_may_be_wrong(obs, filtered):
    absurd = {"rate": 0, "mix": 7.0, "ring": "x" * 300, "answer": "%s%n", "port": -1}
    obs.call("SetSourceFilterSettings", sourceName="camera", filterName="effect", filterSettings=absurd)
    shows(obs, DRY)
    good = {"rate": 30, "mix": 1.0, "ring": own("out"), "answer": own("wet")}
    obs.call("SetSourceFilterSettings", sourceName="camera", filterName="effect", filterSettings=good)

    with Writer(own("wet"), WET):
        shows(obs, WET)


def test_the_mix_is_of_light(obs, filtered):
    obs.call("SetSourceFilterSettings", sourceName="camera", filterName="effect", filterSettings={"mix": 0.5})
    light = (_decoded(DRY) + _decoded(WET)) / 2
    wanted = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255

    with Writer(own("wet"), WET):
        obs.shows(lambda seen: np.abs(seen[:180, :320, :3] - wanted[..., :3]).max() < 1.6, SCENE)


def _decoded(pixels):
    value = pixels / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def test_what_is_transparent_stays_so_under_the_effect(obs):
    wanted = card(320, 180, alpha=True)
    with Writer(own("dry"), wanted) as ring, Follower(own("out")) as out:
        add_source(obs, "camera", ring=ring.name)
        add_filter(obs, "camera", ring=out.name, answer=own("wet"))
        out.shows(lambda seen: near(seen, wanted, 2), what="the ring's pixels are not premultiplied")
        with Writer(own("wet"), WET):
            seen = obs.shows(lambda seen: near(seen[0, 0, :3], WET[0, 0, :3] // 4, 3), "camera")

    assert near(seen[..., 3], wanted[..., 3])


def test_a_source_may_change_its_size_and_be_odd_while_it_is_filtered(obs, filtered):
    add_source(obs, "colour", "color_source_v3", color=0xFF336699, width=100, height=50)
    add_filter(obs, "colour", ring=own("odd"), answer=own("none"))
    with Follower(own("odd")) as out:
        for width, height in ((101, 51), (1, 1), (640, 360), (333, 7)):
            obs.call("SetInputSettings", inputName="colour", inputSettings={"width": width, "height": height})
            seen = out.shows(lambda seen, size=(height, width): seen.shape[:2] == size)
            assert (seen == (0x99, 0x66, 0x33, 255)).all()


def test_a_filtered_source_may_be_deleted_and_leaves_no_ring(obs, filtered):
    with Writer(own("wet"), WET):
        shows(obs, WET)
        obs.call("RemoveInput", inputName="camera")

        until(lambda: own("out") not in ring_names(), what="the ring stayed")


def test_nothing_is_sent_while_nobody_sees_the_source(obs, filtered):
    item = obs.call("GetSceneItemId", sceneName=SCENE, sourceName="camera")["sceneItemId"]
    filtered.shows(lambda seen: True)
    obs.call("SetSceneItemEnabled", sceneName=SCENE, sceneItemId=item, sceneItemEnabled=False)
    until(lambda: _silent(filtered), 30, "it sends on")
    assert _silent(filtered)
    obs.call("SetSceneItemEnabled", sceneName=SCENE, sceneItemId=item, sceneItemEnabled=True)

    filtered.shows(lambda seen: near(seen, DRY, 0))


def _silent(ring, seconds=0.5):
    ring.newest()
    time.sleep(seconds)
    return ring.newest() is None


def test_filters_never_meet(obs):
    for name in ("one", "two", "three"):
        add_source(obs, name, "color_source_v3", width=64, height=36)
        add_filter(obs, name, name="Äffekt (1)")
    settings = [filter_settings(obs, name, "Äffekt (1)") for name in ("one", "two", "three")]
    add_source(obs, "copy", "color_source_v3", width=64, height=36)
    add_filter(obs, "copy", **settings[0])
    settings.append(filter_settings(obs, "copy"))

    for key in ("ring", "answer", "port"):
        assert len({entry.get(key, 9510) for entry in settings}) == 4, key
    assert settings[1]["ring"].startswith("obs-")
    assert f"--in obs-filter:{settings[1]['ring']} --ring {settings[1]['answer']}" in settings[1]["command"]
    if (settings[0]["ring"], settings[0].get("port", 9510)) == ("latentcast-in", 9510):  # no filter is left of before
        assert settings[0]["command"] == "latentcast run --in obs-filter"


def test_the_button_defaults_leaves_a_filter_its_rings_and_its_port(obs):
    for source in ("camera", "other"):
        add_source(obs, source)
        add_filter(obs, source)
    before = filter_settings(obs, "other")
    obs.call("SetSourceFilterSettings", sourceName="other", filterName="effect", filterSettings={"noise": 0.2})

    obs.call("SetSourceFilterSettings", sourceName="other", filterName="effect", filterSettings={}, overlay=False)

    kept = ("ring", "answer", "port", "command")
    until(lambda: all(filter_settings(obs, "other").get(key) == before[key] for key in kept), what="it lost them")
    assert "noise" not in filter_settings(obs, "other")


def test_a_filter_gets_the_ring_it_names_when_the_one_that_had_it_goes(obs, filtered):
    add_source(obs, "heir", "color_source_v3", color=0xFF336699, width=100, height=50)
    add_filter(obs, "heir", ring=own("out"), answer=own("none"))
    obs.call("SetSourceFilterSettings", sourceName="heir", filterName="effect", filterSettings={"ring": own("out")})
    time.sleep(0.5)
    filtered.shows(lambda seen: near(seen, DRY, 0), what="the second filter disturbs the first")

    obs.call("RemoveSourceFilter", sourceName="camera", filterName="effect")

    filtered.shows(lambda seen: seen.shape[:2] == (50, 100))


def test_a_ring_that_another_program_owns_is_left_alone(obs):
    with Writer(own("theirs"), WET) as theirs, Follower(theirs.name) as follower:
        add_source(obs, "colour", "color_source_v3", width=64, height=36)
        add_filter(obs, "colour", ring=theirs.name)
        until(lambda: f"ring {theirs.name} belongs to process" in obs.log, what="no word of it")

        follower.shows(lambda seen: near(seen, WET, 0))


# ---- controls


@pytest.fixture
def ear(obs):
    with Ear() as ear:
        add_source(obs, "camera", "color_source_v3", width=64, height=36)
        add_filter(obs, "camera", port=ear.port, ring=own("ear"))
        assert ear.heard(0.5) == [], "nothing is sent before something changes"
        yield ear


def set_controls(obs, **settings):
    obs.call("SetSourceFilterSettings", sourceName="camera", filterName="effect", filterSettings=settings)


def test_a_change_is_sent_once_as_osc_of_the_right_type(obs, ear):
    set_controls(obs, steps=3, noise=0.25, prompt="a café at night", bypass=True, seed=7)

    got = []
    until(lambda: got.extend(ear.heard(0.5)) or len(got) >= 5, 30, lambda: f"heard {got}")
    assert sorted(got) == [
        ("/latentcast/bypass", [True]),
        ("/latentcast/noise", [0.25]),
        ("/latentcast/prompt", ["a café at night"]),
        ("/latentcast/seed", [7]),
        ("/latentcast/steps", [3]),
    ]
    set_controls(obs, steps=3)
    assert ear.heard(0.7) == []


def test_a_prompt_is_sent_when_the_typing_stops(obs, ear):
    for length in range(1, 9):
        set_controls(obs, prompt="monument"[:length])
        time.sleep(0.03)

    wanted, got = ("/latentcast/prompt", ["monument"]), []
    until(lambda: got.extend(ear.heard(0.5)) or wanted in got, 30, lambda: f"heard {got}")
    assert got[-1] == wanted


def test_hotkeys_reach_latentcast(obs, ear):
    for name in ("panic", "bypass", "freeze", "next_look"):
        hotkey = f"latentcast.{name}"
        until(lambda hotkey=hotkey: hotkey in obs.call("GetHotkeyList")["hotkeys"], 30, f"there is no {hotkey}")
        obs.call("TriggerHotkeyByName", hotkeyName=hotkey)

    got = {}
    until(lambda: got.update(ear.heard(0.5)) or len(got) == 4, 30, lambda: f"heard {got}")
    assert got == {
        "/latentcast/panic": [True],
        "/latentcast/bypass": [True],
        "/latentcast/freeze": [True],
        "/latentcast/prompt": ["oil painting"],
    }
    obs.call("TriggerHotkeyByName", hotkeyName="latentcast.panic")
    again = until(lambda: ear.heard(1.0), 30, "it cannot be turned back")
    assert again == [("/latentcast/panic", [False])]


@pytest.mark.endurance
def test_the_plugin_leaks_no_memory(make_obs, library):
    leaked = []
    for plugged in (False, True):
        lab = make_obs()
        if plugged:
            lab.install_plugin(library)
        lab.start()
        add_source(lab, "camera", "color_source_v3", width=64, height=36)
        if plugged:
            add_source(lab, "show", ring=own("leak"))
            add_filter(lab, "camera", ring=own("leak"))
        time.sleep(1.0)  # OBS does not like to be ended in the middle of something
        lab.stop()
        leaked.append(lab.log.rpartition("Number of memory leaks: ")[2].split())
        lab.close()

    assert leaked[1] == leaked[0], "OBS itself counts what was not given back"
