import os

import numpy as np
import pytest

from bridge.adapters.ringio import RingSink, RingSource
from bridge.errors import AdapterUnavailable
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from tests.bridge.films import numbered

NAME = f"lc-ta-{os.getpid()}-rings"


def test_pictures_of_the_right_size_come_through_bit_for_bit():
    with RingWriter.create(NAME, 160, 96) as theirs:
        source = RingSource(NAME)
        source.open(160, 96)
        theirs.write(Frame(numbered(5), 1.5, 7))

        got = source.read(1.0)

        assert (got.time, got.index) == (1.5, 7)
        assert np.array_equal(got.pixels, numbered(5))
        source.close()


def test_a_picture_from_a_clock_that_runs_ahead_is_not_waited_for():
    with RingWriter.create(NAME, 160, 96) as theirs:
        source = RingSource(NAME)
        source.open(160, 96)
        theirs.write(Frame(numbered(5), monotonic() + 1e6, 0))

        assert source.read(1.0).time <= monotonic()
        source.close()


def test_a_ring_without_news_is_waited_for(monkeypatch):
    with RingWriter.create(NAME, 160, 96):
        source = RingSource(NAME)
        source.open(160, 96)

        assert source.read(0.01) is None
        source.close()


def test_a_ring_whose_program_ended_is_reported():
    theirs = RingWriter.create(NAME, 160, 96)
    source = RingSource(NAME)
    source.open(160, 96)
    theirs.close()

    with pytest.raises(AdapterUnavailable, match="has ended"):
        source.read(0.01)
    source.close()


def test_a_ring_that_nobody_made_says_what_to_start():
    with pytest.raises(AdapterUnavailable, match="no ring named") as error:
        RingSource("lc-ta-nobody").open(64, 48)

    assert "start the program" in error.value.hint


def test_other_programs_read_what_a_ring_sink_is_sent():
    sink = RingSink(NAME)
    sink.open(160, 96, fps=30)
    with RingReader(NAME) as reader:
        sink.send(Frame(numbered(3), monotonic(), 3))

        assert np.array_equal(reader.next().pixels, numbered(3))
    sink.close()


def test_a_name_that_is_taken_is_refused():
    with RingWriter.create(NAME, 160, 96), pytest.raises(AdapterUnavailable, match="belongs to"):
        RingSink(NAME).open(160, 96, fps=30)


@pytest.mark.parametrize("end", [RingSource, RingSink])
def test_a_ring_without_a_name_says_how_to_give_one(end):
    with pytest.raises(AdapterUnavailable, match="a ring needs a name, as in ring:NAME") as error:
        end("")

    assert "latentcast devices" in error.value.hint


def test_a_ring_of_another_version_is_refused_and_says_what_to_update():
    with RingWriter.create(NAME, 160, 96) as theirs:
        theirs._bytes[8] = 9
        with pytest.raises(AdapterUnavailable, match="speaks version 9") as error:
            RingSource(NAME).open(160, 96)
        theirs._bytes[8] = 1

    assert "update the older" in error.value.hint
