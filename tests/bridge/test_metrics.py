import numpy as np
import pytest

from bridge.metrics import CHUNKS, WINDOW, Meter
from bridge.protocol import Report
from engine.frame import Frame

PIXELS = np.zeros((4, 4, 3), np.uint8)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(clock)


def play(meter, clock, seconds, fps=20, latency=0.1, step=1, first=0):
    for n in range(int(seconds * fps)):
        clock.now += 1 / fps
        meter.arrived()
        meter.shown(Frame(PIXELS, clock.now - latency, first + n * step), "wet")


def test_rates_are_those_of_the_last_seconds(meter, clock):
    play(meter, clock, 10, fps=20)
    play(meter, clock, WINDOW, fps=30)

    fields = meter.fields()

    assert fields["fps_in"] == pytest.approx(30, abs=0.5)
    assert fields["fps_out"] == pytest.approx(30, abs=0.5)


def test_rates_are_right_from_the_first_second_on(meter, clock):
    play(meter, clock, 1, fps=20)

    assert meter.fields()["fps_in"] == pytest.approx(20, abs=1)


def test_a_stream_that_stopped_has_no_rate(meter, clock):
    play(meter, clock, 5)
    clock.now += WINDOW + 1

    assert meter.fields()["fps_in"] == 0
    assert meter.fields()["latency_ms"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0}


def test_latency_is_the_age_of_a_picture_when_it_is_shown(meter, clock):
    play(meter, clock, 4.5, latency=0.1)
    play(meter, clock, 0.5, latency=0.3, first=90)

    assert meter.fields()["latency_ms"] == {"p50": 100.0, "p95": 300.0, "p99": 300.0}


def test_pictures_that_never_were_are_counted(meter, clock):
    play(meter, clock, 1, step=3)

    assert meter.fields()["dropped"] == 2 * 19


def test_going_over_to_the_camera_and_back_drops_nothing(meter, clock):
    for index, kind in [(10, "wet"), (25, "dry"), (26, "dry"), (16, "wet"), (17, "wet")]:
        meter.shown(Frame(PIXELS, clock.now, index), kind)

    assert meter.fields()["dropped"] == 0


def test_stages_are_the_usual_ones_of_the_last_chunks(meter):
    for ms in [500.0, *[7.0, 9.0, 8.0] * CHUNKS]:
        meter.report(Report(1, 0, {"encode": ms, "step": 2 * ms}))

    assert meter.fields()["stages_ms"] == pytest.approx({"encode": 8.0, "step": 16.0}, abs=0.6)
