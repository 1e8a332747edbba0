from itertools import pairwise

import av
import numpy as np
import pytest

from bridge.adapters.recorder import Recorder
from bridge.adapters.testcard import read_number
from bridge.errors import AdapterUnavailable
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.films import numbered, read_film


def record(path, moments, close=True):
    """Record one numbered picture at each of these moments."""
    clock = iter(moments)
    recorder = Recorder(str(path), clock=lambda: next(clock))
    recorder.open(160, 96, fps=25)
    for index in range(len(moments)):
        recorder.send(Frame(numbered(index), time=0.0, index=index))
    if close:
        recorder.close()
    return recorder


def test_every_picture_is_in_the_recording_in_order(tmp_path):
    record(tmp_path / "show.mp4", np.arange(30) / 25)

    assert [read_number(pixels) for pixels, _ in read_film(tmp_path / "show.mp4")] == list(range(30))


def test_the_colours_are_those_that_were_sent(tmp_path):
    record(tmp_path / "show.mp4", np.arange(3) / 25)

    pixels, _ = read_film(tmp_path / "show.mp4")[0]

    assert np.abs(pixels.astype(int) - numbered(0)).mean() < 4


def test_the_jitter_of_the_moments_is_not_recorded(tmp_path):
    jitter = np.random.default_rng(1).uniform(-0.004, 0.004, 200)
    record(tmp_path / "show.mp4", np.arange(200) / 24 + jitter)

    gaps = [b - a for (_, a), (_, b) in pairwise(read_film(tmp_path / "show.mp4"))]

    assert np.abs(np.array(gaps[70:]) - 1 / 24).max() < 0.0015
    assert sum(gaps) == pytest.approx(199 / 24, abs=0.01)


def test_a_pause_lasts_as_long_in_the_recording_as_it_did(tmp_path):
    moments = np.concatenate([np.arange(40) / 25, 5.0 + np.arange(40) / 25])
    record(tmp_path / "show.mp4", moments)

    stamps = [moment for _, moment in read_film(tmp_path / "show.mp4")]

    assert stamps == pytest.approx(list(moments), abs=0.01)


def test_until_it_is_finished_the_file_is_called_part(tmp_path):
    recorder = record(tmp_path / "show.mp4", np.arange(5) / 25, close=False)
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4.part"]

    recorder.close()

    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4"]


def test_a_recording_of_nothing_leaves_nothing(tmp_path):
    record(tmp_path / "show.mp4", [])

    assert list(tmp_path.iterdir()) == []


def test_an_earlier_recording_is_never_overwritten(tmp_path):
    for _ in range(3):
        record(tmp_path / "show.mp4", [monotonic()])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["show-2.mp4", "show-3.mp4", "show.mp4"]


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path):
    (tmp_path / "show.mp4.part").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "show-2.mp4").symlink_to(tmp_path / "elsewhere")

    recorder = record(tmp_path / "show.mp4", np.arange(5) / 25)

    assert recorder.name == "show-3.mp4"
    assert not (tmp_path / "elsewhere").exists()
    assert len(read_film(tmp_path / "show-3.mp4")) == 5


def test_two_recordings_that_begin_at_once_have_names_of_their_own(tmp_path):
    first, second = (Recorder(str(tmp_path / "show.mp4")) for _ in range(2))
    for recorder in (first, second):
        recorder.open(160, 96, fps=25)
        recorder.send(Frame(numbered(0), time=0.0, index=0))
    for recorder in (first, second):
        recorder.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["show-2.mp4", "show.mp4"]
    assert len(read_film(tmp_path / "show-2.mp4")) == 1


def test_a_recording_never_takes_the_place_of_what_another_program_made_meanwhile(tmp_path, caplog):
    recorder = record(tmp_path / "show.mp4", np.arange(5) / 25, close=False)
    (tmp_path / "show.mp4").write_text("precious")

    recorder.close()

    assert (tmp_path / "show.mp4").read_text() == "precious"
    assert recorder.name == "show-2.mp4"
    assert len(read_film(tmp_path / "show-2.mp4")) == 5
    assert "recorded as show-2.mp4" in caplog.text


@pytest.mark.parametrize(
    ("where", "sentence"),
    [("", "needs a file"), ("{}/show.txt", "no name for a video"), ("{}/none/show.mp4", "no folder")],
)
def test_what_cannot_be_recorded_to_is_refused_in_one_sentence(tmp_path, where, sentence):
    with pytest.raises(AdapterUnavailable, match=sentence) as error:
        Recorder(where.format(tmp_path)).open(64, 48, fps=25)

    assert error.value.hint


def test_an_odd_size_is_refused(tmp_path):
    with pytest.raises(AdapterUnavailable, match="65x48"):
        Recorder(str(tmp_path / "show.mp4")).open(65, 48, fps=25)


def test_without_an_h264_encoder_it_records_in_mpeg4_with_the_same_moments(tmp_path, monkeypatch):
    monkeypatch.setattr("av.codecs_available", av.codecs_available - {"libx264"})
    moments = np.arange(40) / 30
    record(tmp_path / "show.mp4", moments)

    pictures = read_film(tmp_path / "show.mp4")
    with av.open(str(tmp_path / "show.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "mpeg4"
    assert [read_number(pixels) for pixels, _ in pictures] == list(range(40))
    assert [moment for _, moment in pictures] == pytest.approx(list(moments), abs=2e-3)
    assert np.abs(pictures[0][0].astype(int) - numbered(0)).mean() < 6
