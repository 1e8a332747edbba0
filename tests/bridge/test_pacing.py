from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.pacing import BURST, Pacer, Rate, SteadyClock, Thinner
from engine.frame import Frame

PERIOD = 1 / 24
PIXELS = np.zeros((4, 4, 3), np.uint8)


def play(bursts, seconds, tick=PERIOD, period=PERIOD):
    """Give a pacer `bursts`, (moment, how many), and look at it at every tick: (moment, index) of what it shows."""
    pacer, shown, index, now = Pacer(period), [], 0, 0.0
    bursts = sorted(bursts)
    while now < seconds:
        while bursts and bursts[0][0] <= now:
            for _ in range(bursts.pop(0)[1]):
                pacer.push(Frame(PIXELS, 0.0, index), now)
                index += 1
        if (frame := pacer.pop(now)) is not None:
            shown.append((now, frame.index))
        now += tick
    return shown


def steady(gap, seconds, size=BURST, jitter=0.0):
    noise = np.random.default_rng(0).uniform(-jitter, jitter, int(seconds / gap) + 1)
    return [(n * gap + 0.01 + noise[n], size) for n in range(int(seconds / gap))]


def test_bursts_of_four_leave_one_at_a_time_at_the_rate_of_the_source():
    shown = play(steady(4 * PERIOD, 10), 10)

    gaps = [b[0] - a[0] for a, b in pairwise(shown)]
    assert gaps == pytest.approx([PERIOD] * len(gaps))
    assert [index for _, index in shown] == list(range(len(shown)))


def test_a_jittery_engine_costs_a_few_held_pictures_at_first_and_none_later():
    shown = play(steady(4 * PERIOD, 20, jitter=0.03), 19)

    late = [b[0] - a[0] for a, b in pairwise(shown) if a[0] > 5]
    assert late == pytest.approx([PERIOD] * len(late))


@pytest.mark.parametrize("slowness", [1.3, 1.7, 2.0, 3.1])
def test_an_engine_slower_than_the_source_shows_everything_evenly(slowness):
    shown = play(steady(4 * PERIOD * slowness, 20), 20)

    settled = [(now, index) for now, index in shown if now > 5]
    gaps = [b[0] - a[0] for a, b in pairwise(settled)]
    assert [b[1] - a[1] for a, b in pairwise(settled)] == [1] * len(gaps)
    assert max(gaps) <= (np.ceil(slowness * 1.1) + 0.01) * PERIOD
    assert np.mean(gaps) == pytest.approx(slowness * PERIOD, rel=0.05)


def test_one_picture_at_a_time_passes_without_delay():
    shown = play(steady(PERIOD, 5, size=1), 5)

    assert [index for _, index in shown] == list(range(len(shown)))
    assert shown[-1][1] >= 5 * 24 - 4


def test_a_picture_that_is_never_needed_is_not_kept_in_store():
    late_start = [(0.01, 3), *steady(PERIOD, 20, size=1)]

    shown = play(late_start, 20)

    arrived = sum(size for moment, size in late_start if moment <= shown[-1][0])
    assert arrived - shown[-1][1] <= 1


def test_after_a_pause_it_goes_on_at_the_rate_of_the_source():
    before, after = steady(4 * PERIOD, 5), [(moment + 12, size) for moment, size in steady(4 * PERIOD, 5)]

    shown = play(before + after, 17)

    gaps = [b[0] - a[0] for a, b in pairwise(shown) if a[0] > 12]
    assert gaps == pytest.approx([PERIOD] * len(gaps))


def test_a_backlog_is_worked_off_one_picture_at_a_time_and_not_kept():
    hiccup = [(0.01 + n * 4 * PERIOD, BURST) for n in range(10)]
    hiccup += [(hiccup[-1][0] + 0.02, BURST)]  # for once, two bursts in a row
    start = hiccup[-2][0]
    hiccup += [(start + n * 4 * PERIOD, BURST) for n in range(1, 60)]

    shown = play(hiccup, 10)

    steps = [b[1] - a[1] for a, b in pairwise(shown)]
    assert max(steps) == 2
    arrived = sum(size for moment, size in hiccup if moment <= shown[-1][0])
    assert arrived - shown[-1][1] <= BURST + 2


moments = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(bursts=moments, tick=st.floats(0.002, 0.1), period=st.floats(1 / 120, 0.1))
def test_whatever_comes_pictures_stay_in_order_apart_and_fresh(bursts, tick, period):
    pacer, index, now, last = Pacer(period), 0, 0.0, None
    bursts = sorted(bursts)
    while now < 9:
        while bursts and bursts[0][0] <= now:
            for _ in range(bursts.pop(0)[1]):
                pacer.push(Frame(PIXELS, now, index), now)
                index += 1
        if (frame := pacer.pop(now)) is not None:
            if last is not None:
                assert frame.index > last[1], "order"
                assert now - last[0] >= period / 2 - 1e-9, "never two at once"
            assert now - frame.time <= 2 * BURST * (1.1 * max(pacer.burst_gap / BURST, period) + tick) + 4, "fresh"
            assert index - frame.index <= 2 * BURST, "the newest is never far"
            last = now, frame.index
        now += tick
    if index:
        assert last[1] == index - 1, "nothing is kept back"


def test_the_rate_of_a_source_is_known_after_a_few_frames():
    rate = Rate()

    for n in range(12):
        rate.add(100 + n / 16)

    assert rate.period == pytest.approx(1 / 16)


def test_the_jitter_of_a_camera_does_not_change_its_rate():
    rate, seen = Rate(1 / 30), set()

    for n, jitter in enumerate(np.random.default_rng(0).normal(0, 0.003, 300)):
        rate.add(n / 30 + jitter)
        seen.add(rate.period)

    assert seen == {1 / 30}


def test_another_source_with_another_clock_starts_anew():
    rate = Rate()
    for n in range(40):
        rate.add(500 + n / 60)

    for n in range(12):
        rate.add(20 + n / 25)

    assert rate.period == pytest.approx(1 / 25)


@pytest.mark.parametrize(
    ("have", "want", "kept"), [(60, 30, 30), (30, 20, 20), (50, 24, 24), (30, 30, 30), (24, 30, 24)]
)
def test_a_stream_is_thinned_evenly(have, want, kept):
    thinner = Thinner(want)
    jitter = np.random.default_rng(0).normal(0, 0.05 / have, 10 * have)

    taken = [n / have for n in range(10 * have) if thinner.takes(n / have + jitter[n])]

    assert len(taken) == pytest.approx(10 * kept, abs=2)
    assert max(np.diff(taken)) <= np.ceil(have / want) / have + 1e-9


def test_nothing_is_thinned_without_a_wish():
    thinner = Thinner(0.0)

    assert all(thinner.takes(0.0) for _ in range(10))


@settings(max_examples=100, deadline=None)
@given(moments=st.lists(st.floats(0, 100), min_size=2, max_size=100))
def test_even_moments_never_stand_still_or_run_backwards(moments):
    steady = SteadyClock()

    assert np.all(np.diff([steady.place(moment) for moment in sorted(moments)]) > 0)
