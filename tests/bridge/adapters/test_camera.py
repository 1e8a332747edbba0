import errno
import time
from fractions import Fraction

import pytest
from av.error import err_check

from bridge.adapters import camera as module
from bridge.adapters.camera import Camera
from bridge.errors import AdapterUnavailable
from engine.clock import monotonic
from tests.bridge.adapters.filmed_camera import OPEN, FilmedCamera, plug_in
from tests.bridge.films import make_boxed, make_film, proportions


@pytest.fixture
def filmed(tmp_path):
    return FilmedCamera(make_film(tmp_path / "seen.mp4"))


def refusal(number):
    """The exception that PyAV really makes of this error of the system's."""
    try:
        err_check(-number, "/dev/video0")
    except OSError as error:
        return error
    raise AssertionError


def read(camera):
    deadline = monotonic() + 30
    while monotonic() < deadline:
        if (frame := camera.read(0.2)) is not None:
            return frame
    raise AssertionError("no frame came")


def test_a_camera_that_is_not_there_is_one_sentence_and_a_next_step():
    with pytest.raises(AdapterUnavailable, match="camera:63") as error:
        Camera("63").open(320, 192)

    assert error.value.hint


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EBUSY, "camera:0 is in use by another program"),
        (errno.ENODEV, "camera:0 is not there"),
        (errno.EACCES, "camera:0 may not be opened"),
        (errno.EIO, "camera:0 cannot be opened"),
    ],
)
def test_why_a_camera_does_not_open_is_said_in_words(monkeypatch, number, sentence):
    plug_in(monkeypatch, {"/dev/video0": refusal(number)})

    with pytest.raises(AdapterUnavailable, match=sentence) as error:
        Camera("0").open(320, 192)

    assert error.value.hint


def test_without_a_number_the_first_camera_that_opens_is_taken(monkeypatch, filmed):
    plug_in(monkeypatch, {"/dev/video0": refusal(errno.EBUSY), "/dev/video2": filmed})
    camera = Camera()

    camera.open(64, 48)

    assert camera.name == "camera:2"
    camera.close()


def test_a_number_that_is_none_is_refused():
    with pytest.raises(AdapterUnavailable, match="no number of a camera"):
        Camera("front")


def test_a_camera_whose_pixels_are_wider_than_high_has_its_true_proportions(monkeypatch, tmp_path):
    filmed = FilmedCamera(make_boxed(tmp_path / "seen.mp4", shape=Fraction(64, 45)))
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(320, 180)

    assert proportions(read(camera).pixels) == pytest.approx(64 / 45, abs=0.06)
    camera.close()


def test_a_slow_reader_gets_the_newest_frame_and_no_queue(monkeypatch, filmed):
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(64, 48)
    first = read(camera)

    deadline = monotonic() + 60
    while camera._newest is None or camera._newest[2] <= first.index + 5:
        assert monotonic() < deadline, "the camera stands still"
        time.sleep(0.01)
    newest = camera._newest[2]
    second = read(camera)

    assert second.index >= newest > first.index + 5
    camera.close()


def test_a_damaged_picture_is_passed_over(monkeypatch, filmed):
    filmed.damaged = {packet.pts for packet in list(OPEN(str(filmed._film)).demux())[1:-1:2]}
    assert filmed.damaged
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(64, 48)

    indices = [read(camera).index for _ in range(10)]

    assert len(set(indices)) == 10
    camera.close()


def test_a_camera_that_is_unplugged_is_reported(monkeypatch, filmed):
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(64, 48)
    read(camera)
    filmed.unplug()

    with pytest.raises(AdapterUnavailable, match="camera:0 was lost"):
        for _ in range(50):
            camera.read(0.1)
    camera.close()


def test_a_camera_that_is_plugged_in_again_films_again(monkeypatch, filmed):
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(64, 48)
    filmed.unplug()
    with pytest.raises(AdapterUnavailable, match="camera:0 was lost"):
        for _ in range(50):
            camera.read(0.1)
    camera.close()

    filmed.plugged = True
    camera.open(64, 48)

    assert read(camera).size == (64, 48)
    camera.close()


def test_a_camera_that_falls_silent_is_reported_and_does_not_hang_anybody(monkeypatch, filmed):
    monkeypatch.setattr(module, "FRAME_TIMEOUT", 0.2)
    filmed._gap = 0.8
    plug_in(monkeypatch, {"/dev/video0": filmed})
    camera = Camera("0")
    camera.open(64, 48)

    with pytest.raises(AdapterUnavailable, match="sent no picture"):
        for _ in range(50):
            camera.read(0.1)
    camera.close()


@pytest.mark.parametrize(
    ("system", "address"),
    [("linux", ("v4l2", "/dev/video1")), ("darwin", ("avfoundation", "1:none"))],
)
def test_each_system_calls_its_cameras_by_other_names(monkeypatch, system, address):
    monkeypatch.setattr("sys.platform", system)

    assert module._address(1) == address
