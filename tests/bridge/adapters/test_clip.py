import numpy as np
import pytest

from bridge.adapters.clip import FADE, SCENE, SCENES, Clip, _view, load_picture, sample


def clip(width=320, height=192, at=0):
    clip = Clip()
    clip.open(width, height)
    clip._index = at  # nobody waits a minute for the third scene
    return clip


def test_the_same_picture_at_the_same_moment_on_every_run():
    assert np.array_equal(clip(at=100).read(0).pixels, clip(at=100).read(0).pixels)


@pytest.mark.parametrize("at", range(0, int(24 * SCENE * len(SCENES)), 97))
def test_it_moves_without_a_jump(at):
    playing = clip(at=at)

    frames = [playing.read(0).pixels.astype(float) for _ in range(3)]

    steps = [np.abs(b - a).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert min(steps) > 0.05
    assert max(steps) < 12


def test_a_dissolve_is_as_smooth_as_the_rest():
    playing = clip(at=int(24 * (SCENE - FADE)) - 2)

    frames = [playing.read(0).pixels.astype(float) for _ in range(int(24 * FADE) + 6)]

    assert max(np.abs(b - a).mean() for a, b in zip(frames, frames[1:], strict=False)) < 12


@pytest.mark.parametrize("size", [(320, 192), (192, 320), (256, 256), (832, 480)])
def test_it_fills_any_shape_of_picture(size):
    pixels = clip(*size).read(0).pixels

    assert pixels.shape == (size[1], size[0], 3)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.std() > 3  # a smeared or empty border would be flat


@pytest.mark.parametrize("size", [(320, 192), (192, 320), (256, 256)])
def test_the_view_never_leaves_the_photograph(size):
    for scene in SCENES:
        high, wide = load_picture(scene.file).shape[:2]
        for moment in np.arange(-FADE, SCENE, 0.5):
            x, y = _view(scene, moment, *size)
            assert 0 <= x.min() <= x.max() <= wide - 1
            assert 0 <= y.min() <= y.max() <= high - 1


def test_a_look_between_pixels_blends_their_colours():
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[:, 1] = 200

    seen = sample(picture, np.float32([[0.0, 0.5, 1.0]]), np.float32([[0.0, 0.0, 0.0]]))

    assert seen[0, :, 0].tolist() == [0, 100, 200]


def test_its_pictures_are_small_enough_to_ship():
    assert all(load_picture(scene.file).shape[0] >= 300 for scene in SCENES)
