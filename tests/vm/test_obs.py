"""A real OBS with a real v4l2loopback, in a virtual machine: our picture in its virtual camera, our camera in it."""

import numpy as np
import pytest

from tests.obs.lab import missing
from tests.vm.inside import ALIKE, OTHER_MATRIX

pytestmark = [pytest.mark.vm, pytest.mark.process, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def seen(machine):
    if reason := missing():
        pytest.skip(reason)
    return machine.run("tests/vm/see_obs.py")


def is_card(corners, off=ALIKE):
    return max(corners.values()) < off


def is_live(shown, off=ALIKE):
    return is_card(shown["corners"], off) and np.ptp(shown["numbers"]) > 0


def test_our_picture_goes_through_a_stock_obs_into_its_virtual_camera_and_out_of_that(seen):
    assert is_card(seen["picture in OBS"])
    assert is_live(seen["its camera"])


def test_the_camera_that_obs_sends_to_is_refused_to_us_in_one_sentence(seen):
    sentence, cure = seen["a second sender"]
    assert sentence == "another program sends to the virtual camera"
    assert "devices=2" in cure


def test_our_camera_can_be_chosen_in_the_camera_source_of_obs(seen):
    assert is_live(seen["our camera"], OTHER_MATRIX)
