import av
import numpy as np
import pytest

from bridge.errors import BridgeError
from bridge.media.picture import blend, cover, cover_pixels


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


@pytest.mark.parametrize("size", [(16000, 2), (2, 4000), (1, 16384), (16384, 1), (3, 9000), (1, 1), (8000, 20)])
@pytest.mark.parametrize("shape", [1, 64 / 45, 0.1, 10])
@pytest.mark.parametrize("wanted", [(320, 192), (192, 320)])
def test_a_picture_however_thin_covers_what_is_wanted(size, shape, wanted):
    picture = av.VideoFrame.from_ndarray(flat(90, *size), format="rgb24")

    pixels = cover(picture, *wanted, shape)

    assert pixels.shape == (*wanted[::-1], 3)
    assert np.abs(pixels.astype(int) - 90).max() <= 1


def test_of_a_very_wide_picture_the_middle_is_seen():
    pixels = flat(0, 4001, 20)
    pixels[:, 2000] = 255

    seen = cover_pixels(pixels, 200, 200)

    bright = np.flatnonzero(seen[100, :, 0] > 127)
    assert bright.mean() == pytest.approx(99.5, abs=1)
    assert 8 <= len(bright) <= 12


def test_pixels_that_are_wider_than_high_make_a_picture_wider():
    pixels = flat(0, 720, 576)
    pixels[238:338, 310:410] = 255

    seen = cover(av.VideoFrame.from_ndarray(pixels, format="rgb24"), 320, 180, 64 / 45)[..., 0] > 127

    assert seen.any(axis=0).sum() / seen.any(axis=1).sum() == pytest.approx(64 / 45, abs=0.05)


def test_a_picture_that_cannot_be_scaled_is_refused_in_one_sentence():
    picture = av.VideoFrame(1, 1000, "yuv420p")

    with pytest.raises(BridgeError, match="cannot be scaled to 16x") as error:
        cover(picture, 16, 16, 1e-5)
    assert error.value.hint
