import numpy as np
import pytest

from bridge.playout.history import History
from engine.frame import Frame

WIDTH, HEIGHT = 96, 64
BYTES = WIDTH * HEIGHT * 3
FPS = 30


def frame(number):
    """A soft picture of its own: no two have the same light, and each goes from dark to light from left to right."""
    ramp = np.linspace(number % 50, 150 + number % 50, WIDTH)
    pixels = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8))
    return Frame(pixels, 5 + number / FPS, number)


def test_every_frame_is_known_for_as_long_as_was_said_however_little_room_there_is():
    history = History(seconds=4.0, room=6 * BYTES)
    for number in range(300):
        history.add(frame(number))

    for number in range(180, 300):
        pixels = history.find(frame(number).time, WIDTH, HEIGHT)
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(pixels.astype(int) - frame(number).pixels).mean() < 4
    assert history.find(frame(170).time, WIDTH, HEIGHT) is None


def test_as_long_as_there_is_room_frames_are_kept_bit_for_bit():
    history = History(room=6 * BYTES)
    for number in range(6):
        history.add(frame(number))

    assert all(np.array_equal(history.find(frame(n).time, WIDTH, HEIGHT), frame(n).pixels) for n in range(6))


@pytest.mark.parametrize("late", [0.1, 0.5, 2.0, 8.0])
def test_however_late_the_engine_is_its_frames_fit_into_the_room(late):
    history = History(room=20 * BYTES)
    for number in range(round(FPS * (2 * late + 10))):
        history.add(frame(number))
        history.forget_before(frame(number).time - late)

    assert history.size <= 20 * BYTES
    assert history.find(frame(round(number - late * FPS)).time, WIDTH, HEIGHT) is not None


def test_while_nobody_knows_when_pictures_will_come_what_is_kept_fits_into_the_room_too():
    history = History(seconds=10.0, room=20 * BYTES)
    for number in range(1000):
        history.add(frame(number), expected=10.0 * FPS)
        assert history.size <= 20 * BYTES

    assert len(history) >= 10.0 * FPS


def test_what_the_engine_is_done_with_is_let_go():
    history = History()
    for number in range(50):
        history.add(frame(number))
    history.forget_before(frame(45).time)

    assert len(history) == 5
    assert history.find(frame(44).time, WIDTH, HEIGHT) is None
    assert np.array_equal(history.find(frame(45).time, WIDTH, HEIGHT), frame(45).pixels)
