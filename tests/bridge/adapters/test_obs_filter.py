"""The ring of a filter in OBS comes, goes and changes its size; the source does not mind."""

import os

import numpy as np
import pytest

from bridge.adapters.obs_filter import FIRST, ObsFilter
from bridge.errors import AdapterUnavailable
from bridge.rings.ring import RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.films import numbered

NAME = f"lc-ta-{os.getpid()}-filter"


@pytest.fixture
def source():
    source = ObsFilter(NAME)
    yield source
    source.close()


def read(source, within=30.0):
    deadline = monotonic() + within
    while monotonic() < deadline:
        if (frame := source.read(0.05)) is not None:
            return frame
    raise AssertionError("nothing came")


def test_the_first_filter_in_obs_is_meant_if_none_is_named():
    assert ObsFilter("").name == FIRST == "latentcast-in"


def test_starting_before_obs_is_fine(source):
    source.open(160, 96)
    assert source.read(0.01) is None

    with RingWriter.create(NAME, 160, 96, slots=3) as filter:
        filter.write(Frame(numbered(5), 1.5, 7))
        got = read(source)

    assert (got.time, got.index) == (1.5, 7)
    assert np.array_equal(got.pixels, numbered(5))


def test_a_filter_that_vanishes_and_comes_back_with_another_size_goes_on(source):
    source.open(160, 96)
    for width, height in ((160, 96), (321, 57), (64, 64)):
        with RingWriter.create(NAME, width, height, slots=3) as filter:
            filter.write(Frame(numbered(3, width, height), monotonic(), 0))
            assert read(source).pixels.shape == (96, 160, 3)


def test_a_picture_of_other_proportions_is_stretched_not_cropped(source):
    source.open(160, 96)
    wide = np.zeros((60, 400, 3), np.uint8)
    wide[:, :20], wide[:, -20:] = (255, 0, 0), (0, 0, 255)
    with RingWriter.create(NAME, 400, 60, slots=3) as filter:
        filter.write(Frame(wide, monotonic(), 0))
        got = read(source).pixels

    assert got[48, 2, 0] > 200
    assert got[48, -3, 2] > 200


def test_no_filter_for_a_while_is_said_once_and_waited_out(source, monkeypatch):
    monkeypatch.setattr("bridge.adapters.obs_filter.RING_TIMEOUT", 0.05)
    source.open(160, 96)
    with pytest.raises(AdapterUnavailable, match="no pictures from OBS") as error:
        read(source)
    assert "add the filter" in error.value.hint
    source.close()
    with pytest.raises(AdapterUnavailable):
        source.open(160, 96)  # whoever waits tries again, in silence

    with RingWriter.create(NAME, 160, 96, slots=3) as filter:
        source.open(160, 96)
        filter.write(Frame(numbered(5), 1.5, 7))
        assert read(source).index == 7


def test_a_clock_that_runs_ahead_is_not_waited_for(source):
    with RingWriter.create(NAME, 160, 96, slots=3) as filter:
        source.open(160, 96)
        filter.write(Frame(numbered(5), monotonic() + 1e6, 0))
        assert read(source).time <= monotonic()
