"""The virtual camera, with a device put in through pyvirtualcam's own `register_backend`, and a real clock."""

import time
from itertools import pairwise

import numpy as np
import pytest

from bridge.adapters.base import load_sink
from bridge.adapters.refusals import REFUSALS, refusal
from bridge.errors import AdapterUnavailable
from bridge.media.slate import slate
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.adapters.doubles import loopback
from tests.bridge.films import numbered

pytestmark = pytest.mark.extra("virtualcam")
DEVICE = "/dev/video9"


@pytest.fixture(autouse=True)
def device(monkeypatch):
    loopback.install(monkeypatch)


@pytest.fixture
def camera():
    made = []

    def make(where="", size=(160, 96)):
        made.append(load_sink(f"virtualcam:{where}"))
        made[-1].open(*size, fps=25)
        return made[-1]

    yield make
    for camera in made:
        camera.close()


def seen(count, within=30.0):
    """What a call sees: wait for `count` pictures more than there are."""
    viewed = loopback.taken[DEVICE].seen
    wanted, deadline = len(viewed) + count, monotonic() + within
    while len(viewed) < wanted:
        assert monotonic() < deadline, "the camera stands still"
        time.sleep(0.005)
    return viewed[-count:]


def comes(picture):
    """Wait for a picture; a busy machine may take so long over a few that they are followed by the slate."""
    deadline = monotonic() + 30
    while not any(np.array_equal(picture, shown) for _, shown in loopback.taken[DEVICE].seen[-20:]):
        assert monotonic() < deadline, "it was never shown"
        time.sleep(0.005)


def show(camera, index=0, size=(160, 96)):
    camera.send(Frame(numbered(index, *size), monotonic(), index))
    return numbered(index, *size)


def test_a_camera_is_1280x720_at_30_whatever_the_pictures_are(camera):
    camera()

    assert loopback.taken[DEVICE].size == (720, 1280, 3)
    assert loopback.taken[DEVICE].fps == 30.0


def test_size_rate_and_device_can_be_asked_for(camera):
    camera("640x480@25,/dev/video9,slate=1.5")

    assert loopback.taken[DEVICE].size == (480, 640, 3)
    assert loopback.taken[DEVICE].fps == 25.0


def test_pictures_come_at_the_cameras_own_rate_though_nothing_is_sent(camera):
    camera("160x96@50")
    gaps = [b - a for (a, _), (b, _) in pairwise(seen(100, within=60))]

    assert 0.75 / 50 < np.median(gaps) < 5 / 50  # it is late on a busy machine, and never early


def test_a_burst_of_pictures_does_not_make_it_faster(camera):
    sink = camera("160x96@20")
    first, _ = seen(2)[-1]
    for index in range(200):
        show(sink, index)
        time.sleep(0.005)
    viewed = loopback.taken[DEVICE].seen
    last = viewed[-1][0]

    assert sum(moment >= first for moment, _ in viewed) < 1.2 * 20 * (last - first) + 3


def test_a_picture_of_the_right_size_comes_through_bit_for_bit(camera):
    sink = camera("160x96")
    sent = show(sink, 5)

    assert np.array_equal(seen(3)[-1][1], sent)


def test_a_wide_picture_has_bars_above_and_below_and_is_whole(camera):
    sink = camera("320x240")
    show(sink)

    picture = seen(3)[-1][1]
    assert not picture[:24].any()
    assert not picture[-24:].any()
    inside = picture[24:-24]
    assert np.abs(inside[::2, ::2].astype(int) - numbered(0)).mean() < 12


def test_a_tall_picture_has_bars_at_both_sides(camera):
    sink = camera("320x240", size=(96, 160))
    show(sink, size=(96, 160))

    picture = seen(3)[-1][1]
    assert not picture[:, :88].any()
    assert not picture[:, -88:].any()
    assert picture[:, 90].any()


def test_before_the_first_picture_there_is_the_slate(camera):
    camera("320x240")

    assert np.array_equal(seen(1)[0][1], slate(320, 240))


def test_when_no_picture_comes_any_more_a_frozen_face_becomes_the_slate_and_back(camera):
    sink = camera("160x96@50,slate=0.4")
    comes(show(sink, 5))

    deadline = monotonic() + 30
    while not np.array_equal(seen(1)[-1][1], slate(160, 96)):
        assert monotonic() < deadline

    comes(show(sink, 6))


def test_a_held_picture_that_is_sent_again_is_news(camera):
    sink = camera("160x96@50,slate=1.0")  # longer than a busy machine keeps this test waiting
    until = monotonic() + 2.0
    while monotonic() < until:
        sent = show(sink, 5)
        time.sleep(0.02)

    assert np.array_equal(seen(1)[-1][1], sent)


def test_its_pictures_are_evenly_spaced_while_the_engine_stutters(camera):
    sink = camera("160x96@40")
    seen(5)
    for index in range(20):
        show(sink, index)
        time.sleep(0.12 if index % 5 == 0 else 0.01)
    gaps = [b - a for (a, _), (b, _) in pairwise(loopback.taken[DEVICE].seen[5:])]

    assert 0.75 / 40 < np.median(gaps) < 5 / 40


def test_a_camera_has_one_owner_and_the_second_is_told(camera):
    camera()

    with pytest.raises(AdapterUnavailable, match="another program sends to the virtual camera") as error:
        camera()
    assert "devices=2" in error.value.hint


def test_a_camera_is_free_again_once_it_is_closed(camera):
    camera().close()
    assert loopback.taken == {}

    camera()


def test_a_camera_that_breaks_is_said_at_the_next_picture(camera, monkeypatch):
    sink = camera("160x96@50")
    monkeypatch.setattr(loopback.Device, "breaks", True)

    deadline = monotonic() + 30
    with pytest.raises(AdapterUnavailable, match=f"{DEVICE} was lost"):
        while monotonic() < deadline:
            show(sink)
            time.sleep(0.02)
    assert loopback.taken == {}


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.said)
def test_each_thing_a_driver_says_becomes_a_sentence_and_a_cure(camera, monkeypatch, row):
    monkeypatch.setattr(loopback.Device, "refuses", f"Device /dev/video9 ... {row.said} ...\nmore")

    with pytest.raises(AdapterUnavailable) as error:
        camera()
    assert (str(error.value), error.value.hint) == (row.sentence, row.cure)


def test_what_a_driver_never_said_before_is_passed_on_in_one_line():
    error = refusal("'obs' backend: it rains\n'unitycapture' backend: it snows")

    assert str(error) == "the virtual camera does not start: 'obs' backend: it rains"
    assert error.hint


def test_of_two_backends_the_one_that_is_there_but_taken_counts():
    said = "'obs' backend: virtual camera output could not be started\n"
    said += "'unitycapture' backend: No camera registered. Did you install any camera?"

    assert "OBS" in str(refusal(said))


@pytest.mark.parametrize("where", ["1280x721", "8x8", "640x480@0", "slate=0", "slate=soon", "colour=red", "9999x10"])
def test_what_is_no_camera_is_refused_before_anything_starts(where):
    with pytest.raises(AdapterUnavailable) as error:
        load_sink(f"virtualcam:{where}")

    assert where in str(error.value)
    assert "virtualcam:1280x720@30" in error.value.hint
