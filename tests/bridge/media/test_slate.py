import numpy as np
import pytest

from bridge.media.bitmap_font import dots, write
from bridge.media.slate import slate


@pytest.mark.parametrize("size", [(320, 192), (64, 48), (1280, 720), (192, 320)])
def test_a_slate_is_never_black_at_any_size(size):
    picture = slate(*size, "no input")

    assert picture.shape == (size[1], size[0], 3)
    assert picture.max(axis=2).min() > 20


def test_a_slate_says_why():
    assert np.any(slate(320, 192, "no input") != slate(320, 192, "starting"))


def test_letters_are_told_apart():
    alphabet = "abcdefghijklmnopqrstuvwxyz"

    assert len({dots(letter).tobytes() for letter in alphabet}) == len(alphabet)


def test_text_that_sticks_out_of_the_picture_is_cut():
    picture = np.zeros((10, 10, 3), np.uint8)

    write(picture, "latentcast", 0, 0, 2, (255, 255, 255))

    assert picture.any()
