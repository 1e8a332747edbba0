import pytest

from bridge.process.protocol import DEADLINE
from bridge.worker.chunk_limit import SETUP_TIMEOUT, ChunkLimit
from engine.params import Params

ONE = Params(steps=1)


def test_an_engine_of_short_chunks_counts_as_hung_after_the_shortest_time_there_is():
    assert ChunkLimit(0.04, ONE, rebuilds=False).seconds(0) == DEADLINE


def test_a_slow_machine_has_a_multiple_of_what_its_warm_up_took():
    assert ChunkLimit(6.0, ONE, rebuilds=False).seconds(0) == 24.0


def test_more_steps_are_given_more_time_before_the_first_chunk_of_them_is_done():
    limit = ChunkLimit(3.0, ONE, rebuilds=False)
    for _ in range(10):  # a fader goes up and down
        limit.expect(ONE)
        limit.expect(ONE.set("steps", 4))

    assert limit.seconds(0) == 48.0


def test_it_follows_what_streaming_measures_up_at_once_and_down_slowly():
    limit = ChunkLimit(2.0, ONE, rebuilds=False)
    limit.learn(10.0)
    assert limit.seconds(0) == 40.0

    for _ in range(100):
        limit.learn(2.0)
    assert limit.seconds(0) == 8.0


@pytest.mark.parametrize(("control", "value"), [("steps", 4), ("rows", 2), ("lora", "ink")])
def test_what_is_compiled_anew_has_the_time_of_a_warm_up_until_a_chunk_was_made_so(control, value):
    limit = ChunkLimit(0.04, ONE, rebuilds=True)
    assert limit.seconds(0) == DEADLINE

    changed = ONE.set("noise", 0.5).set(control, value)
    limit.expect(changed)
    assert limit.seconds(changed.revision - 1) == SETUP_TIMEOUT
    assert limit.seconds(changed.revision) == DEADLINE


def test_a_prompt_compiles_nothing():
    limit = ChunkLimit(0.04, ONE, rebuilds=True)
    limit.expect(ONE.set("prompt", "snow"))

    assert limit.seconds(0) == DEADLINE
