import numpy as np
import pytest

from bridge.adapters.testcard import draw_card, draw_number
from bridge.diagnosis.selftest import Loop, Seen
from bridge.diagnosis.selftest_report import judge

LOOP = Loop("ring:x", "ring:x")
HARMS = {
    "upside down": lambda p: p[::-1],
    "mirrored": lambda p: p[:, ::-1],
    "turned by half": lambda p: p[::-1, ::-1],
}


def card(index, size=(640, 360)):
    picture = draw_card(*size)
    draw_number(picture, index)
    return picture


def run(harm=lambda picture: picture, delay=0.02, step=1, count=60, loop=LOOP, **more):
    """What is found about `count` pictures that each came `delay` seconds after they went out."""
    numbers = range(0, count, step)
    seen = Seen([(harm(card(n)), n / 30 + delay) for n in numbers], {n: n / 30 for n in range(count)}, **more)
    return {check.name: check for check in judge(loop, seen)}


def test_a_card_that_comes_back_as_it_was_is_fine_throughout():
    found = run(alpha=(255, 255))

    assert {check.level for check in found.values()} == {"ok"}
    assert {check.fix for check in found.values()} == {""}
    assert found["rate"].found == "30.0 of 30 a second, 0% lost"
    assert found["latency"].found.startswith("20 ms")


@pytest.mark.parametrize("name", HARMS)
def test_each_flip_is_named_and_the_number_is_read_all_the_same(name):
    found = run(HARMS[name])

    assert (found["orientation"].level, found["orientation"].found) == ("fail", name)
    assert found["orientation"].fix
    assert found["colour"].level == found["rate"].level == found["latency"].level == "ok"


def test_exchanged_colours_are_told_from_a_flip():
    found = run(lambda picture: picture[..., ::-1])

    assert found["colour"].found == "red and blue are exchanged"
    assert found["orientation"].level == "ok"


def test_both_at_once_are_both_said_with_what_to_append():
    found = run(lambda picture: picture[::-1, :, ::-1], loop=Loop("syphon:x", "syphon:x"))

    assert found["orientation"].fix == "use syphon:x,flip"
    assert found["colour"].fix == "use syphon:x,swap"


@pytest.mark.parametrize(
    ("loop", "source", "fix"),
    [
        (Loop("", "spout"), "spout:latentcast", "use spout:latentcast,flip"),
        (Loop("ndi", "ring:x"), "ndi", "use ndi:,flip"),
        (Loop("camera:9", "ndi:Stage"), "camera:9", "use ndi:Stage,flip"),
        (Loop("ring:x", "ring:y"), "ring:x", "turn mirroring or flipping off in the program or driver between the two"),
    ],
)
def test_the_way_out_is_what_one_would_type(loop, source, fix):
    assert run(HARMS["upside down"], loop=loop, source=source)["orientation"].fix == fix


def test_washed_out_colours_are_put_down_to_the_range():
    found = run(lambda picture: (16 + picture * (219 / 255)).astype(np.uint8))

    assert found["colour"].level == "note"
    assert "full range" in found["colour"].fix


def test_colours_that_are_too_strong_are_put_down_to_the_range_too():
    found = run(lambda picture: ((picture - 16.0) * (255 / 219)).clip(0, 255).astype(np.uint8))

    assert found["colour"].level == "note"
    assert "limited range" in found["colour"].fix


def test_what_compression_does_is_fine():
    noise = np.random.default_rng(1).integers(-9, 10, (360, 640, 3))

    found = run(lambda picture: (picture + noise).clip(0, 255).astype(np.uint8))

    assert found["colour"].level == found["rate"].level == "ok"


@pytest.mark.parametrize("size", [(80, 48), (80, 1080), (97, 65), (1919, 49), (641, 361)])
def test_a_card_of_any_size_that_is_allowed_can_be_read(size):
    numbers = range(40)
    seen = Seen([(card(n, size), n / 30) for n in numbers], {n: n / 30 for n in numbers})

    assert {check.level for check in judge(Loop("ring:x", "ring:x", *size), seen)} == {"ok"}


def test_see_through_pictures_are_a_fault():
    found = run(alpha=(0, 255))

    assert found["alpha"].level == "fail"
    assert "0 to 255" in found["alpha"].found


@pytest.mark.parametrize(("step", "level"), [(1, "ok"), (2, "note"), (3, "fail")])
def test_lost_pictures_are_counted(step, level):
    assert run(step=step)["rate"].level == level


def test_pictures_that_come_twice_are_not_more():
    seen = Seen([(card(n // 2), n / 60) for n in range(120)], {n: n / 30 for n in range(60)})

    found = {check.name: check for check in judge(LOOP, seen)}
    assert found["rate"].found == "29.7 of 30 a second, 0% lost"
    assert found["latency"].found.startswith("0 ms"), "what is shown for longer did not come later"


@pytest.mark.parametrize(("delay", "level"), [(0.1, "ok"), (0.4, "note"), (1.5, "fail")])
def test_a_delay_is_judged(delay, level):
    assert run(delay=delay)["latency"].level == level


def test_a_file_plays_in_circles_and_has_no_delay():
    seen = Seen([(card(n % 40), 0.0) for n in range(100)], dict.fromkeys(range(40), 0.0), live=False)

    found = {check.name: check for check in judge(LOOP, seen)}
    assert found["rate"].found == "40 pictures, 0% lost"
    assert found["latency"].level == "ok"


def test_no_picture_and_another_picture_are_told_apart():
    (nothing,) = judge(LOOP, Seen())
    (other,) = judge(LOOP, Seen([(np.full((360, 640, 3), 200, np.uint8), 0.0)]))

    assert nothing.found == "none came back"
    assert other.found == "another picture came back, not the card"
    (obs,) = judge(Loop("obs", "obs"), Seen())
    assert nothing.fix
    assert "latentcast obs setup --program" in obs.fix
    assert other.fix
