import pytest

from bridge.state import run_state


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
