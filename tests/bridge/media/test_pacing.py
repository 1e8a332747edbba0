from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.pacing import BURST, Pacer, Rate, SteadyClock, Thinner
from engine.frame import Frame

PERIOD = 1 / 24
PIXELS = np.zeros((4, 4, 3), np.uint8)


def play(bursts, seconds, tick=PERIOD, period=PERIOD, away=(0, 0)):
    """Give a pacer `bursts`, (moment, how many), and look at it at every tick: (moment, index) of what it shows.

    away: between which moments nobody looks.
    """
    pacer, shown, index, now = Pacer(period), [], 0, 0.0
    bursts = sorted(bursts)
    while now < seconds:
        while bursts and bursts[0][0] <= now:
            for _ in range(bursts.pop(0)[1]):
                pacer.push(Frame(PIXELS, 0.0, index), now)
                index += 1
        if not away[0] < now < away[1] and (frame := pacer.pop(now)) is not None:
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


@pytest.mark.parametrize("size", [1, BURST])
def test_ticks_that_come_a_little_early_or_late_hold_no_picture_back(size):
    jitter = np.random.default_rng(0).uniform(-0.1 * PERIOD, 0.1 * PERIOD, 480)
    pacer, held, index = Pacer(PERIOD), 0, 0
    for number, moment in enumerate(np.arange(480) * PERIOD + jitter):
        for _ in range(size if number % size == 0 else 0):
            pacer.push(Frame(PIXELS, 0.0, index), moment)
            index += 1
        held += pacer.pop(moment) is None

    assert held == 0


def test_what_waits_too_long_is_left_out_one_at_a_time_with_a_burst_between():
    """An engine that now hurries and now dawdles. What never found room (two bursts) is another thing."""
    apart = []
    for seed in range(100):
        apart += list(np.diff(_left_out(np.random.default_rng(seed))))

    assert len(apart) > 100
    assert min(apart) > BURST


def _left_out(random):
    """After how many shown pictures one was left out, each time that there was room for it."""
    pacer, index, last, full, shown, left_out = Pacer(PERIOD), 0, -1, False, 0, []
    due, slowness = 0.01, random.uniform(0.5, 1.6)
    for now in np.arange(600) * PERIOD:
        while due <= now:
            size = int(random.integers(1, BURST + 1))
            for _ in range(size):
                full = full or index - 1 - last >= 2 * BURST
                pacer.push(Frame(PIXELS, now, index), now)
                index += 1
            due += size * PERIOD * slowness * random.uniform(0.2, 1.8)
        if (frame := pacer.pop(now)) is not None:
            if frame.index > last + 1 and not full:
                assert frame.index == last + 2, "one at a time"
                left_out.append(shown)
            last, full, shown = frame.index, False, shown + 1
    return left_out


@pytest.mark.parametrize("slowness", [1.3, 1.7, 2.0, 3.1])
def test_of_a_slow_engine_a_backlog_is_hurried_through_and_nothing_is_left_out(slowness):
    gap = BURST * PERIOD * slowness
    regular = steady(gap, 40)

    usual = play(regular, 40, PERIOD / 8)
    shown = play(regular, 40, PERIOD / 8, away=(10, 10 + 0.75 * gap))

    assert [b[1] - a[1] for a, b in pairwise(shown)] == [1] * (len(shown) - 1)
    assert shown[-1][1] >= usual[-1][1] - 1, "and it is as late as if nobody had been away"


@pytest.mark.parametrize(("before", "after"), [(3, 2), (6, 2)])
def test_when_a_slow_engine_grows_faster_what_piled_up_is_gone_within_two_seconds(before, after):
    slow, fast = BURST * PERIOD * before, BURST * PERIOD * after
    bursts = steady(slow, 10)
    bursts += [(bursts[-1][0] + (n + 1) * fast, BURST) for n in range(40)]
    finished = [moment for moment, size in bursts for _ in range(size)]

    ages = [now - finished[index] for now, index in play(bursts, 15, PERIOD / 8) if now > 12]

    assert max(ages) < 1.1 * fast


@pytest.mark.parametrize("slowness", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("tick", [PERIOD, PERIOD / 2])
def test_of_a_regular_engine_no_picture_is_older_than_a_burst_and_a_bit(slowness, tick):
    gap = BURST * PERIOD * slowness
    bursts = steady(gap, 30)
    finished = [moment for moment, size in bursts for _ in range(size)]

    ages = [now - finished[index] for now, index in play(bursts, 29, tick) if now > 10]

    cadence = max(gap / BURST, PERIOD)
    assert max(ages) <= (BURST + 1) * cadence + 2 * tick


moments = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(bursts=moments, tick=st.floats(0.002, 0.1), period=st.floats(1 / 120, 0.1))
def test_whatever_comes_pictures_stay_in_order_apart_and_fresh(bursts, tick, period):
    """At most two bursts wait, so a picture is never older than that many steps, each as long as was due."""
    pacer, index, now, last = Pacer(period), 0, 0.0, None
    steps = deque([period + tick], maxlen=2 * BURST)
    bursts = sorted(bursts)
    while now < 9:
        while bursts and bursts[0][0] <= now:
            for _ in range(bursts.pop(0)[1]):
                pacer.push(Frame(PIXELS, now, index), now)
                index += 1
        before = pacer.cadence
        if (frame := pacer.pop(now)) is not None:
            if last is not None:
                assert frame.index > last[1], "order"
                assert now - last[0] >= period / 2 - 1e-9, "never two at once"
            assert now - frame.time <= sum(steps) + 1e-9, "fresh"
            assert index - frame.index <= 2 * BURST, "the newest is never far"
            steps.append(max(before, pacer.cadence) + tick)
            last = now, frame.index
        now += tick
    if index:
        assert last[1] == index - 1, "nothing is kept back"


@pytest.mark.parametrize(("fps", "period"), [(1.25, 0.5), (3, 1 / 3), (60, 1 / 60), (240, 1 / 120), (1000, 1 / 120)])
def test_a_rate_that_no_screen_has_is_taken_for_the_nearest_that_one_has(fps, period):
    rate = Rate()

    for n in range(40):
        rate.add(100 + n / fps)

    assert rate.period == pytest.approx(period)


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
