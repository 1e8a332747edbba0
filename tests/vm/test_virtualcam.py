"""Our camera at a real v4l2loopback, in a virtual machine, seen through FFmpeg as a call sees it: `pytest -m vm`."""

import numpy as np
import pytest

pytestmark = [pytest.mark.vm, pytest.mark.process, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def seen(machine):
    return machine.run("tests/vm/see_camera.py")


def test_a_camera_is_there_for_others_only_while_we_send(seen):
    assert seen["virtual"] == ["virtualcam:/dev/video9", "virtualcam:/dev/video10", "virtualcam:/dev/video11"]
    assert "camera:9" not in seen["cameras before"]
    assert "camera:9" in seen["cameras"]
    assert seen["name"] == "/dev/video9"


def test_pictures_come_in_order_and_not_faster_than_the_cameras_rate(seen):
    assert 0 < seen["rate"] < 15 * 1.3  # how much slower is a matter of the emulation
    assert np.all(np.diff(seen["numbers"]) >= 0)
    assert seen["numbers"][-1] > seen["numbers"][0] + 3


def test_the_colours_are_right_and_the_right_way_up_between_black_bars(seen):
    assert max(seen["corners"].values()) < 24
    assert seen["bars"] < 8


def test_without_news_it_goes_on_with_the_slate_and_then_the_picture_is_back(seen):
    assert 0 < seen["rate without news"] < 15 * 1.3
    assert seen["slate"] < 6
    assert max(seen["back"].values()) < 24


def test_a_camera_has_one_owner_at_a_time(seen):
    assert seen["second owner"][0] == "another program sends to the virtual camera"
    assert seen["again"] == seen["after a kill"] == "/dev/video9"


@pytest.mark.parametrize(
    ("case", "sentence", "cure"),
    [
        ("not there", "that virtual camera is not there", "latentcast devices"),
        ("no camera", "that device is no virtual camera", "latentcast devices"),
        ("no permission", "the virtual camera may not be opened", "usermod -a -G video"),
        ("no module", "there is no virtual camera on this machine", "modprobe v4l2loopback"),
        ("no module listed", "there is no virtual camera on this machine", "modprobe v4l2loopback"),
    ],
)
def test_what_the_real_driver_refuses_is_a_sentence_and_its_cure(seen, case, sentence, cure):
    assert seen[case][0] == sentence
    assert cure in seen[case][1]


def test_the_selftest_finds_the_camera_that_shows_the_output(seen):
    assert seen["selftest"]["orientation"] == seen["selftest"]["colour"] == "ok"
