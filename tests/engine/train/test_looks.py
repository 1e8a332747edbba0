import numpy as np
import pytest

from engine.train.looks import LOOKS, render
from engine.train.pictures import load_picture

CLIP = np.stack([load_picture("astronaut.png")[60:252, 100:420]] * 2)


@pytest.mark.parametrize("name", LOOKS)
def test_a_still_picture_stays_still_in_every_look(name):
    first, second = render(name, CLIP)

    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in LOOKS if name != "natural"])
def test_every_look_is_far_from_the_picture_and_from_the_other_looks(name):
    mine = render(name, CLIP[:1]).astype(float)

    for other in LOOKS:
        if other != name:
            assert np.abs(mine - render(other, CLIP[:1])).mean() > 8, other


def test_natural_changes_nothing():
    assert np.array_equal(render("natural", CLIP), CLIP)


@pytest.mark.parametrize("name", LOOKS)
def test_a_light_change_does_not_make_a_look_jump(name):
    darker = (CLIP[:1] * 0.97).astype(np.uint8)

    assert np.abs(render(name, CLIP[:1]).astype(float) - render(name, darker)).mean() < 12


def test_textures_do_not_depend_on_where_a_token_lies():
    gray = np.full((1, 192, 320, 3), 90, np.uint8)
    for name in LOOKS:
        inner = render(name, gray)[0, 64:128, 64:256].astype(int)
        assert np.abs(inner[:, 16:] - inner[:, :-16]).max() <= 2, name
