from types import SimpleNamespace

import numpy as np
import pytest

from bridge.adapters import timeline
from bridge.adapters.testcard import CORNERS, TestCard, read_number


@pytest.fixture
def card():
    card = TestCard()
    card.open(320, 192)
    return card


def corners(picture):
    return {
        "red": tuple(picture[10, 10]),
        "green": tuple(picture[10, -10]),
        "blue": tuple(picture[150, 10]),
        "white": tuple(picture[150, -10]),
    }


def test_every_corner_has_its_colour(card):
    assert corners(card.read(0).pixels) == CORNERS


@pytest.mark.parametrize(
    "harm",
    [lambda p: p[::-1], lambda p: p[:, ::-1], lambda p: p[::-1, ::-1], lambda p: p[..., ::-1]],
    ids=["upside down", "mirrored", "turned", "red and blue swapped"],
)
def test_a_changed_picture_is_recognised(card, harm):
    assert corners(harm(card.read(0).pixels)) != CORNERS


def test_the_disc_moves_from_frame_to_frame(card):
    first, second = card.read(0).pixels, card.read(0).pixels

    assert np.any(first[:-12] != second[:-12])


@pytest.mark.parametrize("size", [(320, 192), (64, 48), (1280, 720), (832, 480)])
def test_the_bars_say_the_number_at_every_size(size):
    card = TestCard()
    card.open(*size)

    assert [read_number(card.read(0).pixels) for _ in range(5)] == [0, 1, 2, 3, 4]


def test_it_runs_at_the_rate_that_was_asked_for(on_time):
    card = TestCard()
    card.open(64, 48, fps=20)

    frames = [card.read(0) for _ in range(3)]

    assert np.diff([frame.time for frame in frames]) == pytest.approx([0.05, 0.05])


def test_a_film_that_falls_far_behind_goes_on_from_now_and_one_that_is_a_little_late_keeps_its_time(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timeline, "monotonic", lambda: clock.now)
    film, seen = timeline.Timeline(), []
    for moment, clock.now in ((0.0, 10.0), (0.1, 10.3), (0.2, 10.6), (0.3, 10.61)):
        seen.append(film.due(moment))

    assert seen == pytest.approx([10.0, 10.1, 10.6, 10.7])
