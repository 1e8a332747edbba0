import numpy as np
import pytest

from engine.train.clips import unseen_clip
from engine.train.judge import Judge
from engine.train.looks import render
from engine.train.measures import decibels, edges, flicker, warp_error


@pytest.fixture(scope="module")
def clip():
    return unseen_clip(12, 320, 192)


def test_a_copy_is_perfect(clip):
    assert decibels(clip, clip) > 90
    assert edges(clip, clip) == pytest.approx(1)


def test_one_level_of_error_is_not_read_as_255(clip):
    darker = np.clip(clip.astype(int) - 1, 0, 255).astype(np.uint8)

    assert decibels(darker, clip) == pytest.approx(20 * np.log10(255), abs=0.5)


def test_flicker_counts_only_where_the_input_is_still():
    still = np.full((4, 32, 32, 3), 100, np.uint8)
    moving = still.copy()
    moving[:, :, 16:] = np.arange(0, 200, 50, dtype=np.uint8)[:, None, None, None]
    flickering = still.copy()
    flickering[1::2] += 6

    assert flicker(flickering, still) == pytest.approx(6)
    assert flicker(moving, moving) == pytest.approx(0)


def test_what_moves_with_its_source_has_no_warp_error(clip):
    shuffled = clip[[0, 5, 2, 7, 4, 9, 6, 11, 8, 3, 10, 1]]

    assert warp_error(255 - clip, clip) < 3
    assert warp_error(255 - shuffled, clip) > 2 * warp_error(255 - clip, clip)


def test_the_judge_tells_rendered_looks_apart(clip):
    judge = Judge(clips=25, held_out=8)

    assert judge.held_out > 0.9
    assert judge.recognise(render("blueprint", clip[:4]), "blueprint") == 1
    assert judge.recognise(render("thermal", clip[:4]), "neon") == 0
