import numpy as np
import pytest

from engine.train.looks import LOOKS, LUMA, render
from engine.train.phrases import COLOUR_WORDS, STRENGTH_WORDS
from engine.train.pictures import load_picture
from engine.train.wishes import COLOURS, STRENGTHS, Wish, draw_wish, grant

CLIP = np.stack([load_picture("astronaut.png")[60:252, 100:420]] * 2)


def test_every_colour_and_strength_can_be_asked_for():
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(STRENGTH_WORDS) == set(STRENGTHS)


@pytest.mark.parametrize("look", ["neon", "pencil sketch", "gold"])
def test_a_colour_is_what_one_sees(look):
    red, blue = (grant(Wish(look, colour), CLIP).mean((0, 1, 2)) for colour in ("red", "blue"))

    assert red[0] > red[2] + 20
    assert blue[2] > blue[0] + 20


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "natural"])
def test_a_soft_look_is_nearer_to_the_picture_and_a_strong_one_is_not(look):
    def distance(strength):
        return np.abs(grant(Wish(look, strength=strength), CLIP).astype(int) - CLIP).mean()

    assert distance("soft") < 0.7 * distance("")
    assert distance("strong") > 0.9 * distance("")


def test_a_strong_look_has_more_contrast():
    plain, strong = (grant(Wish("watercolor", strength=word), CLIP) @ LUMA for word in ("", "strong"))

    assert strong.std() > plain.std()


def test_a_plain_wish_is_the_look_itself():
    assert np.array_equal(grant(Wish("ink"), CLIP), render("ink", CLIP))


def test_natural_is_never_coloured():
    random = np.random.default_rng(0)

    assert {draw_wish("natural", random, 0.9) for _ in range(50)} == {Wish("natural")}
