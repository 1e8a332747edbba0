from itertools import product
from typing import get_args

import pytest

from bridge.control.control import State
from bridge.control.state import run_state

STAGES = ("offline", "starting", "loading", "warming", "streaming", "error")


def state(stage, failed=False, streamed=False, stale=False, dry=False):
    return run_state(stage, failed=failed, streamed=streamed, stale=stale, dry=dry)


def test_a_run_comes_up_in_stages():
    stages = ["offline", "starting", "loading", "warming"]

    assert [state(stage, stale=True, dry=True) for stage in stages] == stages
    assert state("streaming", stale=True, dry=True) == "warming", "no picture came out of it yet"
    assert state("streaming") == "streaming"


@pytest.mark.parametrize("stage", ["starting", "loading", "warming", "streaming"])
def test_without_the_engine_it_had_a_run_is_degraded_and_then_fails_over(stage):
    assert state(stage, streamed=True, stale=True) == "degraded"
    assert state(stage, streamed=True, stale=True, dry=True) == "failover"


def test_an_engine_that_gave_up_is_an_error_whatever_the_outputs_show():
    assert state("error", failed=True, streamed=True, stale=True, dry=True) == "error"
    assert state("error", failed=True) == "error"
    assert state("streaming", failed=True) == "error"


def test_without_an_engine_that_somebody_asked_for_a_run_is_offline_and_nothing_is_missing():
    for streamed, stale, dry in product([False, True], repeat=3):
        assert state("offline", streamed=streamed, stale=stale, dry=dry) == "offline"


def test_an_engine_that_came_back_streams_however_long_it_was_away():
    assert state("streaming", streamed=True, stale=False) == "streaming"
    assert state("streaming", streamed=True, stale=False, dry=True) == "streaming"


def test_whatever_the_parts_say_surfaces_are_shown_a_state_they_know():
    flags = ("failed", "streamed", "stale", "dry")
    shown = {
        state(stage, **dict(zip(flags, told, strict=True)))
        for stage in STAGES
        for told in product([False, True], repeat=len(flags))
    }

    assert shown == set(get_args(State))
