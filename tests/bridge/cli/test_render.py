import shutil
import signal
import subprocess
import sys
from collections import deque
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from bridge.adapters.testcard import read_number
from bridge.cli.render import render
from bridge.media.movie import MovieError, decode, open_movie, rate_of
from engine.preset import load_preset
from tests.bridge.films import (
    make_boxed,
    make_film,
    make_noisy,
    make_unknown,
    make_unreadable,
    proportions,
    read_film,
    sound_packets,
)
from tests.bridge.running import until

TINY = load_preset("tiny")


class Negative:
    """A session that turns colours over, in chunks of 4 like the real one, and is late by one chunk."""

    def __init__(self, preset):
        self._waiting, self._done = deque(), deque()

    def update(self, params):
        self.params = params

    def push(self, frame):
        self._waiting.append(replace(frame, pixels=255 - frame.pixels))

    def step(self):
        if len(self._waiting) < 4:
            return []
        late = list(self._done)
        self._done = deque(self._waiting.popleft() for _ in range(4))
        return late

    def flush(self):
        return [*self._done, *self._waiting]


def make(source, target, preset=TINY, open_session=Negative, on_progress=lambda done, total: None):
    assert render(source, target, preset, preset.params, on_progress, open_session) == ""
    return target


def make_of_damaged(source, target):
    """Render it, and what is said of it."""
    return render(source, target, TINY, TINY.params, lambda done, total: None, Negative)


def rate(path):
    with open_movie(path) as movie:
        return rate_of(movie.streams.video[0])


@pytest.mark.parametrize("count", [1, 3, 4, 17])
def test_as_many_pictures_come_out_as_went_in_and_in_order(tmp_path, count):
    out = make(make_film(tmp_path / "in.mp4", count=count), tmp_path / "out.mp4")

    assert [read_number(255 - pixels) for pixels, _ in read_film(out)] == list(range(count))


@pytest.mark.parametrize("frames", [Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(16)])
@pytest.mark.parametrize("ends", [("in.mp4", "out.mp4"), ("in.mkv", "out.mp4"), ("in.mov", "out.mov")])
def test_the_rate_is_exactly_the_same(tmp_path, frames, ends):
    out = make(make_film(tmp_path / ends[0], count=30, rate=frames), tmp_path / ends[1])

    assert rate(out) == frames
    assert [moment for _, moment in read_film(out)] == pytest.approx([float(n / frames) for n in range(30)])


def test_pictures_at_uneven_moments_keep_them(tmp_path):
    stamps = [0, 40, 100, 110, 300, 301, 900]

    out = make(make_film(tmp_path / "in.mp4", count=7, stamps=stamps), tmp_path / "out.mp4")

    assert [moment for _, moment in read_film(out)] == pytest.approx([stamp / 1000 for stamp in stamps], abs=1e-4)


@pytest.mark.parametrize(
    ("sound", "ends"), [("aac", ("in.mp4", "out.mp4")), ("aac", ("in.mkv", "out.mov")), ("flac", ("in.mkv", "out.mkv"))]
)
def test_sound_is_copied_bit_for_bit_where_the_new_file_can_hold_it(tmp_path, sound, ends):
    source = make_film(tmp_path / ends[0], count=50, sound=sound)

    out = make(source, tmp_path / ends[1])

    assert sound_packets(out) == sound_packets(source)
    assert len(read_film(out)) == 50


@pytest.mark.parametrize("rate", [48000, 192000], ids=["as it was", "faster than AAC can"])
def test_sound_that_an_mp4_cannot_hold_is_encoded_anew(tmp_path, rate):
    out = make(make_film(tmp_path / "in.mkv", count=50, sound="pcm_s16le", sound_rate=rate), tmp_path / "out.mp4")

    with av.open(str(out)) as film:
        (stream,) = film.streams.audio
        heard = np.concatenate([sound.to_ndarray()[0] for sound in film.decode(stream)])
    assert stream.codec_context.name == "aac"
    assert len(heard) / 48000 == pytest.approx(2.0, abs=0.1)
    assert np.abs(heard).max() > 0.1


def test_pictures_have_the_size_of_the_preset(tmp_path):
    out = make(make_film(tmp_path / "in.mp4"), tmp_path / "out.mp4", TINY.resized(96, 64))

    assert read_film(out)[0][0].shape == (64, 96, 3)


def test_a_film_whose_pixels_are_wider_than_high_has_its_true_proportions(tmp_path):
    out = make(make_boxed(tmp_path / "in.mp4", shape=Fraction(64, 45)), tmp_path / "out.mp4")

    assert proportions(255 - read_film(out)[0][0]) == pytest.approx(64 / 45, abs=0.06)


def test_the_same_film_twice_is_the_same_file(tmp_path):
    source = make_film(tmp_path / "in.mp4", count=10)

    first, second = make(source, tmp_path / "1.mp4"), make(source, tmp_path / "2.mp4")

    assert first.read_bytes() == second.read_bytes()


def test_progress_is_told_up_to_the_last_picture(tmp_path):
    told = []

    make(make_film(tmp_path / "in.mp4", count=11), tmp_path / "out.mp4", on_progress=lambda *news: told.append(news))

    assert told[0][1] == 11
    assert told[-1] == (11, 11)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_goes_wrong_half_way_leaves_nothing_and_spares_what_was_there(tmp_path):
    source = make_film(tmp_path / "in.mp4", count=30)
    (tmp_path / "out.mp4").write_text("precious")

    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(source, tmp_path / "out.mp4", on_progress=interrupt)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files the POSIX way")
@pytest.mark.parametrize("room", [100, 2000])  # bytes: what does not fit is noticed half way, or not until the end
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, room):
    import resource

    source = make_film(tmp_path / "in.mp4", count=30)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(MovieError, match="cannot be written any further") as error:
            make(source, tmp_path / "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert error.value.hint == "make room on the disk"
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_what_was_there_is_replaced_when_the_new_film_is_whole(tmp_path):
    (tmp_path / "out.mp4").write_text("old")

    out = make(make_film(tmp_path / "in.mp4"), tmp_path / "out.mp4")

    assert len(read_film(out)) == 12
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(("target", "sentence"), [("out.gif", "no name for a video"), ("none/out.mp4", "no folder")])
def test_a_target_that_cannot_be_is_refused_before_the_work_begins(tmp_path, target, sentence):
    with pytest.raises(MovieError, match=sentence):
        make(make_film(tmp_path / "in.mp4"), tmp_path / target, open_session=None)


def test_a_film_without_a_picture_is_refused(tmp_path):
    with pytest.raises(MovieError, match="not one picture"):
        make(make_unreadable(tmp_path / "in.mkv"), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def hurt(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("damage", [cut, hurt])
@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_all_that_can_be_read_of_a_damaged_film_is_rendered_and_the_rest_is_counted(tmp_path, name, damage):
    source = damage(make_noisy(tmp_path / name))
    with av.open(str(source)) as film:
        film.streams.video[0].thread_type = "SLICE"  # decodes one after the other: nothing is lost at the end
        readable = sum(len(decode(packet)) for packet in film.demux(video=0))
    assert 10 < readable < 40

    said = make_of_damaged(source, tmp_path / "out.mp4")

    assert len(read_film(tmp_path / "out.mp4")) == readable
    lost = 40 - readable
    assert said == f"{lost} {'picture' if lost == 1 else 'pictures'} of {name} could not be read"


def test_a_film_that_is_cut_short_while_it_is_rendered_is_said_to_be(tmp_path):
    source = make_noisy(tmp_path / "in.mp4", count=200)
    whole = source.stat().st_size

    def shorten(done, total):
        if done == 40:
            with source.open("r+b") as file:
                file.truncate(whole // 2)

    said = render(source, tmp_path / "out.mp4", TINY, TINY.params, shorten, Negative)

    lost = int(said.partition(" ")[0])
    assert len(read_film(tmp_path / "out.mp4")) == 200 - lost
    assert 0 < lost < 120


def test_two_renders_into_one_film_at_once_both_work_and_the_last_wins_whole(tmp_path):
    source, out, ran = make_film(tmp_path / "in.mp4", count=30), tmp_path / "out.mp4", []

    def meanwhile(done, total):
        if done and not ran:
            ran.append(make(make_film(tmp_path / "other.mp4", count=5), out))
            assert len(read_film(out)) == 5

    make(source, out, on_progress=meanwhile)

    assert ran
    assert len(read_film(out)) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "other.mp4", "out.mp4"]


def test_what_a_recording_saved_and_what_a_link_leads_to_are_left_alone(tmp_path):
    (tmp_path / "saved.mp4.part").write_text("what could be saved")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "out.mp4.part").symlink_to(tmp_path / "victim")
    source = make_film(tmp_path / "in.mp4")

    make(source, tmp_path / "saved.mp4")
    out = make(source, tmp_path / "out.mp4")

    assert (tmp_path / "saved.mp4.part").read_text() == "what could be saved"
    assert (tmp_path / "victim").read_text() == "precious"
    assert not out.is_symlink()
    assert len(read_film(out)) == 12


def test_a_folder_that_vanishes_while_a_film_is_made_is_said(tmp_path):
    source, folder = make_film(tmp_path / "in.mp4", count=30), tmp_path / "out"
    folder.mkdir()

    def vanish(done, total):
        if done:
            shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(MovieError, match="cannot be written any further") as error:
        make(source, folder / "out.mp4", on_progress=vanish)
    assert error.value.hint == "choose another folder"


def test_a_film_of_a_kind_that_nobody_knows_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(MovieError, match="of a kind that cannot be played here") as error:
        make(make_unknown(tmp_path / "in.mkv"), tmp_path / "out.mp4", open_session=None)
    assert error.value.hint


def test_sound_of_a_kind_that_nobody_knows_is_left_out(tmp_path):
    source = make_film(tmp_path / "in.mkv", count=5, sound="aac")
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_XYZ"))

    assert len(read_film(make(source, tmp_path / "out.mp4"))) == 5


def test_a_folder_is_no_target(tmp_path):
    (tmp_path / "out.mp4").mkdir()

    with pytest.raises(MovieError, match="is a folder"):
        make(make_film(tmp_path / "in.mp4"), tmp_path / "out.mp4", open_session=None)


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process, it does not ask")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_render_that_is_ended_leaves_nothing(tmp_path, ending):
    source = make_film(tmp_path / "in.mp4", count=3000)
    command = [sys.executable, "-m", "bridge.cli.commands", "render", str(source), str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as render:
        until(lambda: list(tmp_path.glob("*.part")) or render.poll() is not None)
        render.send_signal(ending)
        assert render.wait(60) == 128 + ending

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
