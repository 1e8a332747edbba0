import numpy as np
import pytest

from bridge.control.metrics import CHUNKS, WINDOW, Meter
from bridge.process.protocol import Report
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

    assert (meter.fields()["fps_in"], meter.fields()["fps_out"]) == (0, 0)
    assert meter.fields()["latency_ms"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0}


def test_latency_is_the_age_of_a_picture_when_it_is_shown(meter, clock):
    play(meter, clock, 4.5, latency=0.1)
    play(meter, clock, 0.5, latency=0.3, first=90)

    assert meter.fields()["latency_ms"] == {"p50": 100.0, "p95": 300.0, "p99": 300.0}


@pytest.mark.parametrize(
    ("count", "told"), [(200, (100.0, 190.0, 198.0)), (7, (4.0, 7.0, 7.0)), (2, (1.0, 2.0, 2.0))], ids=str
)
def test_a_percentile_is_the_least_latency_that_as_many_pictures_did_not_exceed(meter, clock, count, told):
    for index in range(count):
        milliseconds = 1 + (index * 3) % count  # each from 1 to count, in no order
        meter.shown(Frame(PIXELS, clock.now - milliseconds / 1000, index), "wet")

    assert meter.fields()["latency_ms"] == dict(zip(("p50", "p95", "p99"), told, strict=True))


def test_the_latency_of_a_single_picture_is_every_percentile(meter, clock):
    meter.shown(Frame(PIXELS, clock.now - 0.25, 7), "wet")

    assert meter.fields()["latency_ms"] == {"p50": 250.0, "p95": 250.0, "p99": 250.0}


def test_what_comes_in_and_what_is_shown_are_counted_apart(meter, clock):
    for n in range(200):
        clock.now += 1 / 40
        meter.arrived()
        if n % 4 == 0:
            meter.shown(Frame(PIXELS, clock.now, n), "dry")

    assert meter.fields()["fps_in"] == pytest.approx(40, abs=0.5)
    assert meter.fields()["fps_out"] == pytest.approx(10, abs=0.5)


def test_a_rate_is_right_where_nothing_is_shown_or_nothing_comes_in(clock):
    filmed, shown = Meter(clock), Meter(clock)
    for index in range(60):
        clock.now += 1 / 20
        filmed.arrived()
        shown.shown(Frame(PIXELS, clock.now, index), "dry")

    assert (filmed.fields()["fps_in"], filmed.fields()["fps_out"]) == (pytest.approx(20, abs=0.5), 0)
    assert (shown.fields()["fps_in"], shown.fields()["fps_out"]) == (0, pytest.approx(20, abs=0.5))


def test_before_anything_happened_all_is_zero(meter):
    assert meter.fields() == {
        "fps_in": 0,
        "fps_out": 0,
        "latency_ms": {"p50": 0.0, "p95": 0.0, "p99": 0.0},
        "dropped": 0,
        "stages_ms": {},
    }


def test_pictures_that_never_were_are_counted(meter, clock):
    play(meter, clock, 1, step=3)

    assert meter.fields()["dropped"] == 2 * 19


def test_going_over_to_the_camera_and_back_drops_nothing(meter, clock):
    for index, kind in [(10, "wet"), (25, "dry"), (26, "dry"), (16, "wet"), (17, "wet")]:
        meter.shown(Frame(PIXELS, clock.now, index), kind)

    assert meter.fields()["dropped"] == 0


def test_a_stream_that_starts_anew_has_lost_nothing_by_it_and_is_counted_on(meter, clock):
    for index in (40, 42, 0, 1, 4):
        meter.shown(Frame(PIXELS, clock.now, index), "wet")

    assert meter.fields()["dropped"] == 1 + 2


def test_stages_are_the_usual_ones_of_the_last_chunks(meter):
    for ms in [500.0, *[7.0, 9.0, 8.0] * CHUNKS]:
        meter.report(Report(1, 0, {"encode": ms, "step": 2 * ms}))

    assert meter.fields()["stages_ms"] == pytest.approx({"encode": 8.0, "step": 16.0}, abs=0.6)


def test_stages_of_chunks_long_past_are_forgotten(meter):
    meter.report(Report(1, 0, {"prompt": 900.0}))
    for _ in range(CHUNKS):
        meter.report(Report(1, 0, {"encode": 7.0}))

    assert meter.fields()["stages_ms"] == {"encode": 7.0}


def test_a_stage_that_not_every_chunk_has_is_told_in_the_order_of_the_engine_by_those_that_have_it(meter):
    meter.report(Report(1, 0, {"encode": 1.0, "step": 4.0}))
    meter.report(Report(1, 0, {"encode": 3.0, "step": 4.0, "decode": 5.0}))

    assert list(meter.fields()["stages_ms"].items()) == [("encode", 2.0), ("step", 4.0), ("decode", 5.0)]
