import pytest

from bridge.worker.intake import Intake


def play(source, engine, seconds=10.0, chunk=4):
    """Frames at `source` per second into an engine of `engine` per second; the indices taken, and how late at worst."""
    intake, clock, taken, late, waiting, begun = Intake(), 0.0, [], 0.0, 0, 0.0
    for index in range(int(seconds * source)):
        time = index / source
        clock = max(clock, time)
        newest = int(clock * source) / source
        if not intake.takes(time, newest):
            continue
        taken.append(index)
        waiting += 1
        begun = newest - time
        if waiting == chunk:
            clock, waiting = clock + chunk / engine, 0
            intake.learn(chunk, chunk / engine, begun)
            late = max(late, clock - time) if time > 1 else late
    return taken, late


def gaps(taken):
    return [b - a for a, b in zip(taken, taken[1:], strict=False)]


def test_an_engine_that_keeps_up_gets_every_frame():
    taken, _ = play(source=20, engine=30)

    assert set(gaps(taken)) == {1}


@pytest.mark.parametrize("engine", [18.0, 16.0, 12.0, 10.0])
def test_a_slower_engine_gets_evenly_spaced_frames(engine):
    taken, _ = play(source=20, engine=engine)
    steady = gaps([index for index in taken if index > 60])

    assert max(steady) - min(steady) <= 1, steady
    assert len([i for i in taken if i > 100]) == pytest.approx(5 * engine, rel=0.15), "and as many as it can do"


@pytest.mark.parametrize("engine", [40.0, 18.0, 10.0, 4.0])
def test_the_backlog_is_bounded(engine):
    _, late = play(source=20, engine=engine)

    assert late < 3.5 * 4 / engine + 0.2


def test_everything_is_taken_while_the_speed_is_unknown():
    intake = Intake()

    assert all(intake.takes(index / 30, index / 30) for index in range(100))
    assert intake.dropped == 0


def test_a_camera_that_jitters_loses_nothing_to_an_engine_that_keeps_up():
    intake = Intake()
    intake.learn(4, 4 / 22, 0.0)
    times = [index / 20 + (0.02 if index % 2 else 0.0) for index in range(200)]

    assert all(intake.takes(time, time) for time in times)


def test_after_a_pause_frames_flow_at_once_and_do_not_burst():
    intake = Intake()
    intake.learn(4, 0.4, 0.0)
    before = [intake.takes(index / 20, index / 20) for index in range(40)]
    after = [intake.takes(60 + index / 20, 60 + index / 20) for index in range(40)]

    assert after[0]
    assert sum(after) <= sum(before) + 1


def test_what_lies_far_behind_is_left_out_and_counted():
    intake = Intake()
    intake.learn(4, 0.2, 0.0)

    assert not intake.takes(10.0, newest=11.0)
    assert intake.takes(11.0, newest=11.0)
    assert intake.dropped == 1
