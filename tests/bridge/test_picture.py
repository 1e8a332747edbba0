import av
import numpy as np
import pytest

from bridge.picture import blend, cover, cover_pixels


def flat(color, width=64, height=48):
    return np.full((height, width, 3), color, np.uint8)


@pytest.mark.parametrize(("height", "standard"), [(480, "ITU601"), (1080, "ITU709")])
def test_a_picture_that_does_not_say_its_standard_gets_the_one_of_its_size(height, standard):
    rgb = av.VideoFrame.from_ndarray(flat((200, 60, 30), 64, height))
    picture = rgb.reformat(format="yuv444p", dst_colorspace=standard)
    picture.colorspace = 2  # unknown

    seen = cover(picture, 64, height)

    assert np.abs(seen[10, 10].astype(int) - (200, 60, 30)).max() <= 4


def test_what_sticks_out_is_cut_off_evenly():
    pixels = flat(0, 100, 50)
    pixels[:, 25:75] = 255

    assert cover_pixels(pixels, 50, 50).min() > 200


def test_pixels_that_fit_are_not_touched():
    pixels = flat(7)

    assert cover_pixels(pixels, 64, 48) is pixels


@pytest.mark.parametrize(("share", "expected"), [(0.0, 50), (0.5, 125), (1.0, 200)])
def test_a_blend_lies_between_its_pictures(share, expected):
    assert blend(flat(200), flat(50), share).min() == pytest.approx(expected, abs=1)
