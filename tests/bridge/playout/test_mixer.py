import weakref
from dataclasses import replace

import numpy as np
import pytest

from bridge.playout.mixer import ENGINE_TIMEOUT, INPUT_TIMEOUT, Mixer
from engine.frame import Frame
from engine.params import Params

PERIOD = 1 / 25
PARAMS = Params()


def camera(index):
    return Frame(np.full((48, 64, 3), index % 100, np.uint8), 50 + index * PERIOD, index)


def effect(index):
    return replace(camera(index), pixels=200 + camera(index).pixels // 2)


class Show:
    """A mixer at work: a camera, an engine that is four pictures late, and somebody at the controls."""

    def __init__(self):
        self.mixer, self.tick, self.camera, self.engine = Mixer(64, 48), 0, True, True
        self.shown = []

    @property
    def now(self):
        return 1000 + self.tick * PERIOD

    def go(self, seconds, params=PARAMS):
        for _ in range(round(seconds / PERIOD)):
            if self.camera:
                self.mixer.take_dry(camera(self.tick), self.now)
            if self.engine and self.camera and self.tick % 4 == 3 and self.tick >= 7:
                for index in range(self.tick - 7, self.tick - 3):
                    self.mixer.take_wet(effect(index), self.now)
            self.shown.append(self.mixer.choose(params, self.now))
            self.tick += 1
        return self.shown[-1]


@pytest.fixture
def show():
    show = Show()
    show.go(2.0)
    return show


def test_with_privacy_the_camera_is_never_shown_while_the_engine_loads_or_is_gone():
    private = PARAMS.set("privacy", True)
    show = Show()
    show.engine = False
    assert show.go(1.0, private).kind == "slate"

    show.engine = True
    assert show.go(2.0, private).kind == "wet"
    show.engine = False
    show.go(5.0, private)
    assert {shown.kind for shown in show.shown} == {"slate", "wet"}

    show.engine = True
    assert show.go(2.0, private).kind == "wet"


def test_with_privacy_who_asks_for_the_camera_still_gets_it(show):
    assert show.go(0.5, PARAMS.set_all({"privacy": True, "bypass": True})).kind == "dry"


def test_before_anything_came_there_is_a_slate():
    assert Mixer(64, 48).choose(PARAMS, 0.0).kind == "slate"


def test_while_the_engine_loads_the_camera_is_on():
    show = Show()
    show.engine = False

    assert show.go(1.0).kind == "dry"
    assert [shown.frame.index for shown in show.shown] == list(range(25))


def test_the_effect_is_on_and_every_picture_of_it_once(show):
    last = show.go(2.0)

    assert last.kind == "wet"
    recent = show.shown[-50:]
    assert np.diff([shown.frame.index for shown in recent]).tolist() == [1] * 49
    assert all(shown.new for shown in recent)


def test_a_half_mix_is_of_one_moment(show):
    shown = show.go(PERIOD, replace(PARAMS, mix=0.5))

    index = shown.frame.index
    expected = (camera(index).pixels[0, 0, 0] + effect(index).pixels[0, 0, 0].astype(int)) / 2
    assert shown.frame.pixels[0, 0, 0] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("size", [(320, 192), (1280, 720), (1920, 1080)])
def test_a_mix_is_of_one_moment_whatever_the_size_though_the_engine_is_two_seconds_late(size):
    """Seen by the light of a corner: the camera's grows with each frame, the engine's is always 200."""
    (width, height), fps, late = size, 25, 50
    mixer, half = Mixer(width, height), replace(PARAMS, mix=0.5)
    ground = np.zeros((height, width, 3), np.uint8)
    for index in range(2 * late + 10):
        pixels, now = ground.copy(), 100 + index / fps
        pixels[: height // 4, : width // 4] = index
        mixer.take_dry(Frame(pixels, now, index), now)
        if index >= late:
            light = np.full((height, width, 3), 200, np.uint8) if index > 2 * late else ground
            mixer.take_wet(Frame(light, 100 + (index - late) / fps, index - late), now)
        shown = mixer.choose(half, now)

    assert shown.kind == "wet"
    assert int(shown.frame.pixels[height // 8, width // 8, 0]) == pytest.approx(100 + shown.frame.index / 2, abs=1)


def test_of_the_camera_nothing_is_kept_that_the_engine_is_done_with():
    show, kept = Show(), []
    take = show.mixer.take_dry
    show.mixer.take_dry = lambda frame, now: (kept.append(weakref.ref(frame.pixels)), take(frame, now))
    show.go(8.0)

    assert 4 < sum(picture() is not None for picture in kept) < 16


def test_no_mix_is_the_camera_and_a_full_one_the_effect(show):
    dry, wet = show.go(PERIOD, replace(PARAMS, mix=0.0)), show.go(PERIOD, PARAMS)

    assert dry.frame.pixels.max() < 100
    assert wet.frame.pixels.min() >= 200


def test_bypass_shows_the_newest_of_the_camera_at_once(show):
    shown = show.go(PERIOD, replace(PARAMS, bypass=True))

    assert (shown.kind, shown.frame.index) == ("dry", show.tick - 1)


def test_freeze_holds_what_is_on_and_lets_go_at_the_newest(show):
    before = show.shown[-1].frame
    frozen = show.go(1.0, replace(PARAMS, freeze=True))
    assert frozen.frame is before
    assert not frozen.new

    after = show.go(PERIOD)

    assert after.frame.index > before.index + 20


def test_panic_is_a_slate_at_once_whatever_else_is_on(show):
    shown = show.go(PERIOD, replace(PARAMS, panic=True, freeze=True, bypass=True))

    assert shown.kind == "slate"


def test_after_panic_a_freeze_does_not_hold_the_slate(show):
    show.go(0.2, replace(PARAMS, panic=True))

    assert show.go(0.2, replace(PARAMS, freeze=True)).kind != "slate"


def test_a_dead_engine_leaves_its_last_picture_for_a_second_and_then_the_camera(show):
    show.engine = False
    start = show.tick
    show.go(3.0)

    kinds = [shown.kind for shown in show.shown[start:]]
    held = kinds.index("dry")
    assert held * PERIOD == pytest.approx(ENGINE_TIMEOUT, abs=0.25)
    assert set(kinds[:held]) == {"wet"}
    assert set(kinds[held:]) == {"dry"}


def test_the_engine_is_on_again_with_its_first_picture(show):
    show.engine = False
    show.go(3.0)
    show.engine = True

    assert show.go(0.5).kind == "wet"


def test_controls_work_with_the_engine_dead(show):
    show.engine = False
    show.go(3.0)

    assert show.go(PERIOD, replace(PARAMS, panic=True)).kind == "slate"
    assert not show.go(PERIOD, replace(PARAMS, freeze=True)).new or show.go(PERIOD).new


def test_without_camera_and_engine_the_last_picture_stands_and_then_a_slate(show):
    show.camera = False

    assert show.go(INPUT_TIMEOUT - 0.5).kind == "dry"
    assert show.go(1.0).kind == "slate"


def test_a_slow_engine_is_not_taken_for_a_dead_one(show):
    show.engine = False
    for _ in range(6):
        show.go(1.5)
        for index in range(4):
            show.mixer.take_wet(effect(show.tick - 10 + index), show.now)
    show.shown.clear()
    for _ in range(3):
        show.go(1.5)
        for index in range(4):
            show.mixer.take_wet(effect(show.tick - 10 + index), show.now)

    assert {shown.kind for shown in show.shown} == {"wet"}


def test_an_engine_that_sends_pictures_the_camera_no_longer_knows_is_shown_unmixed():
    mixer = Mixer(64, 48)
    mixer.take_dry(camera(500), 1.0)
    mixer.take_wet(effect(3), 1.0)

    assert mixer.choose(replace(PARAMS, mix=0.5), 1.0).frame.pixels.min() >= 200
