import os
import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from bridge.adapters import videofile as module
from bridge.adapters.testcard import read_number
from bridge.adapters.videofile import VideoFile
from bridge.errors import AdapterUnavailable
from bridge.media.movie import open_movie
from tests.bridge.films import make_boxed, make_film, make_slideshow, make_unreadable, numbered, proportions, turn_film


def play(path, count, size=(160, 96)):
    film = VideoFile(str(path))
    film.open(*size)
    frames = [film.read(0) for _ in range(count)]
    film.close()
    return frames


def make_still(path, number):
    with av.open(str(path), "w") as image:
        stream = image.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "rgb24"
        image.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number))))
        image.mux(stream.encode(None))


def test_every_picture_of_a_film_comes_in_order_and_then_again(tmp_path):
    frames = play(make_film(tmp_path / "film.mp4", count=6), 15)

    assert [read_number(frame.pixels) for frame in frames] == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert [frame.index for frame in frames] == list(range(15))


def test_a_film_plays_at_its_own_rate_over_the_seam_too(tmp_path, on_time):
    frames = play(make_film(tmp_path / "film.mp4", count=6, rate=Fraction(30000, 1001)), 15)

    assert np.diff([frame.time for frame in frames]) == pytest.approx([1001 / 30000] * 14, abs=1e-3)


def test_a_film_of_changing_rate_keeps_its_rhythm(tmp_path, on_time):
    stamps = [0, 40, 100, 110, 300]
    frames = play(make_film(tmp_path / "film.mp4", count=5, stamps=stamps), 5)

    assert [frame.time - frames[0].time for frame in frames] == pytest.approx([0.0, 0.04, 0.1, 0.11, 0.3], abs=2e-3)


def test_a_picture_of_a_film_that_stands_is_given_again_and_again_while_it_does(tmp_path, on_time):
    frames = play(make_slideshow(tmp_path / "slides.gif", each=5.0), 251)

    assert [read_number(frame.pixels) for frame in frames] == [0] * 125 + [1] * 125 + [2]
    assert [frame.time - frames[0].time for frame in frames] == pytest.approx(np.arange(251) / 25, abs=2e-3)
    assert [frame.index for frame in frames] == list(range(251))


def test_a_film_of_standing_pictures_begins_anew_as_others_do(tmp_path, on_time):
    frames = play(make_film(tmp_path / "film.mp4", count=3, rate=Fraction(1)), 100)

    assert [read_number(frame.pixels) for frame in frames] == [0] * 25 + [1] * 25 + [2] * 25 + [0] * 25
    assert np.diff([frame.time for frame in frames]) == pytest.approx([1 / 25] * 99, abs=2e-3)


def test_a_pause_in_a_fast_film_is_filled_at_its_own_rate(tmp_path, on_time):
    frames = play(make_film(tmp_path / "film.mkv", count=3, rate=Fraction(50), stamps=[0, 20, 2020]), 102)

    assert [read_number(frame.pixels) for frame in frames] == [0] + [1] * 100 + [2]
    assert np.diff([frame.time for frame in frames]) == pytest.approx([1 / 50] * 101, abs=2e-3)


def test_a_film_that_a_telephone_took_upright_is_upright(tmp_path):
    upright = np.rot90(numbered(0), 1)  # as the sensor sees it: its own left is up
    path = turn_film(
        make_film(tmp_path / "film.mp4", count=1, size=(96, 160), pictures=[np.ascontiguousarray(upright)])
    )

    (frame,) = play(path, 1)

    assert np.abs(frame.pixels.astype(int) - numbered(0)).mean() < 4


def test_a_film_whose_pixels_are_wider_than_high_has_its_true_proportions(tmp_path):
    path = make_boxed(tmp_path / "film.mp4", shape=Fraction(64, 45))

    (frame,) = play(path, 1, size=(320, 180))

    assert proportions(frame.pixels) == pytest.approx(64 / 45, abs=0.06)


@pytest.mark.parametrize("size", [(16000, 2), (2, 4000)])
def test_a_very_thin_film_plays(tmp_path, size):
    path = make_film(tmp_path / "film.mp4", count=2, size=size, pictures=[np.full((*size[::-1], 3), 90, np.uint8)] * 2)

    assert play(path, 1)[0].pixels.shape == (96, 160, 3)


def test_a_wide_film_fills_a_square_and_loses_its_sides(tmp_path):
    path = make_film(tmp_path / "film.mp4", count=1, size=(192, 96))

    (frame,) = play(path, 1, size=(96, 96))

    middle = numbered(0, 192, 96)[:, 48:144]
    assert np.abs(frame.pixels.astype(int) - middle).mean() < 4


def test_a_still_picture_is_a_film_of_one_frame(tmp_path, on_time):
    make_still(tmp_path / "still.png", 7)

    frames = play(tmp_path / "still.png", 3)

    assert [read_number(frame.pixels) for frame in frames] == [7, 7, 7]
    assert np.diff([frame.time for frame in frames]) == pytest.approx([1 / 25] * 2, abs=1e-3)


def test_a_still_picture_is_read_once_until_it_is_another(tmp_path, monkeypatch):
    opened, path = [], tmp_path / "still.png"
    monkeypatch.setattr(module, "open_movie", lambda path: opened.append(path) or open_movie(path))
    make_still(path, 7)
    film = VideoFile(str(path))
    film.open(160, 96)
    assert [read_number(film.read(0).pixels) for _ in range(50)] == [7] * 50
    assert len(opened) == 2, "once for its rate, once for its picture"

    make_still(path, 8)
    os.utime(path, ns=(1, 1))
    assert [frame.index for frame in (film.read(0), film.read(0))] == [50, 51]
    assert read_number(film.read(0).pixels) == 8

    path.unlink()
    with pytest.raises(AdapterUnavailable, match="does not exist"):
        film.read(0)


def test_a_film_with_a_damaged_stretch_plays_on_after_it(tmp_path):
    path = make_film(tmp_path / "film.mp4", count=60)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)

    assert len(play(path, 40)) == 40


BAD = {
    "missing": (lambda path: None, "does not exist"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.write_bytes(b""), "is not a video"),
    "a text": (lambda path: path.write_text("hello " * 200), "is not a video"),
    "cut short": (lambda path: path.write_bytes(make_film(path).read_bytes()[:900]), "cut short"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_film_is_refused_in_one_sentence(name, tmp_path):
    make, sentence = BAD[name]
    path = tmp_path / "film.mp4"
    make(path)

    with pytest.raises(AdapterUnavailable, match=sentence) as error:
        VideoFile(str(path)).open(64, 48)

    assert "\n" not in str(error.value)
    assert error.value.hint


def test_a_file_of_sound_alone_says_so(tmp_path):
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))

    with pytest.raises(AdapterUnavailable, match="has no picture"):
        VideoFile(str(tmp_path / "sound.wav")).open(64, 48)


def test_a_film_without_a_single_picture_says_so(tmp_path):
    film = VideoFile(str(make_unreadable(tmp_path / "film.mkv")))

    with pytest.raises(AdapterUnavailable, match="not one picture"):
        film.open(64, 48)
        film.read(0)


def test_a_film_that_vanishes_while_it_plays_is_reported(tmp_path):
    film = VideoFile(str(make_film(tmp_path / "film.mp4", count=3)))
    film.open(64, 48)
    film.read(0)
    (tmp_path / "film.mp4").unlink()

    with pytest.raises(AdapterUnavailable, match="does not exist"):
        for _ in range(4):
            film.read(0)
