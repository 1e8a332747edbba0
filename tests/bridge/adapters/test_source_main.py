import shutil
import signal
import sys
from fractions import Fraction

import numpy as np
import pytest

from bridge.adapters.source_main import pump
from bridge.adapters.testcard import read_number
from bridge.errors import AdapterUnavailable
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.child_processes import TIMEOUT, child, ring_name
from tests.bridge.films import make_film, numbered

pytestmark = pytest.mark.process


@pytest.fixture
def ring():
    with RingWriter.create(ring_name(), 160, 96, 64) as ring:  # a busy machine reads late
        yield ring


@pytest.fixture
def seen(ring):
    with RingReader(ring.name) as reader:
        yield reader


def test_a_source_fills_the_ring_at_its_own_rate(ring, seen, tmp_path):
    film = make_film(tmp_path / "film.mp4", count=30)
    with child("bridge.adapters.source_main", film, "--ring", ring.name) as source:
        assert source.hear()["stage"] == "streaming"
        frames = [seen.next(timeout=TIMEOUT) for _ in range(20)]
        now = monotonic()

    assert [read_number(frame.pixels) for frame in frames] == list(range(20))
    gaps = np.diff([frame.time for frame in frames])
    assert np.median(gaps) == pytest.approx(0.04, abs=1e-3)
    assert gaps.min() > 0.039  # a film that fell behind goes on from then
    assert now - TIMEOUT < frames[-1].time <= now


def test_a_picture_does_not_come_before_it_is_due(ring, seen):
    with child("bridge.adapters.source_main", "testcard", "--ring", ring.name):
        late = [-seen.next(timeout=TIMEOUT).time + monotonic() for _ in range(20)]

    assert min(late) > -0.001


def test_a_film_is_thinned_to_the_rate_that_was_asked_for(ring, seen, tmp_path):
    film = make_film(tmp_path / "film.mp4", count=30, rate=Fraction(50))
    with child("bridge.adapters.source_main", film, "--ring", ring.name, "--fps", 25):
        frames = [seen.next(timeout=TIMEOUT) for _ in range(10)]

    assert (
        np.median(np.diff([read_number(frame.pixels) for frame in frames])) == 2
    )  # one that fell behind leaves out more
    assert [frame.index for frame in frames] == list(range(10))


def test_it_ends_when_its_stdin_does(ring):
    with child("bridge.adapters.source_main", "testcard", "--ring", ring.name) as source:
        source.hear()

        assert source.end() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process, it does not ask")
def test_it_ends_when_told_to_by_a_signal(ring):
    with child("bridge.adapters.source_main", "clip", "--ring", ring.name) as source:
        source.hear()
        source.process.send_signal(signal.SIGTERM)

        assert source.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("uri", ["camera:63", "no-such-file.mp4", "ring:lc-ta-nobody"])
def test_what_does_not_open_is_said_in_one_line_and_not_tried_again(ring, uri):
    with child("bridge.adapters.source_main", uri, "--ring", ring.name) as source:
        line = source.hear()

        assert set(line) == {"error", "hint"}
        assert source.process.wait(TIMEOUT) == 2


def test_a_source_that_is_lost_says_so_and_is_opened_again(ring, seen, tmp_path):
    film = make_film(tmp_path / "film.mp4", count=10)
    with child("bridge.adapters.source_main", film, "--ring", ring.name) as source:
        source.hear()
        last = seen.next(timeout=TIMEOUT).index
        shutil.move(film, tmp_path / "elsewhere.mp4")
        assert "does not exist" in source.hear()["error"]

        shutil.move(tmp_path / "elsewhere.mp4", film)

        assert source.hear()["stage"] == "streaming"
        assert seen.next(timeout=TIMEOUT).index > last


class Lost:
    """A source that gives one frame and is gone."""

    def __init__(self):
        self._frames = [Frame(numbered(0), 0.0, 0)]

    def read(self, timeout):
        if not self._frames:
            raise AdapterUnavailable("lost")
        return self._frames.pop()


def test_what_a_source_says_when_it_is_lost_goes_on_to_who_can_tell_people():
    written = []

    with pytest.raises(AdapterUnavailable, match="lost"):
        pump(Lost(), 0.0, lambda: False, written.append)
    assert len(written) == 1
