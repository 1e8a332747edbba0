from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from engine.frame import Frame
from engine.session import Session
from tests.engine.small import PRESET, film, play, same, small_models, small_session


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_every_frame_comes_back_once_in_order_with_its_time(steps, rows):
    frames = film(27)  # not a whole number of chunks

    pictures = play(small_session(params={"steps": steps, "rows": rows}), frames)

    assert [(p.index, p.time) for p in pictures] == [(f.index, f.time) for f in frames]
    assert all(p.size == f.size for p, f in zip(pictures, frames, strict=True))


def test_the_first_picture_comes_after_the_first_chunk_whatever_the_steps():
    session = small_session(params={"steps": 4, "rows": 4})

    for frame in film(PRESET.chunk.first):
        session.push(frame)

    assert [picture.index for picture in session.step()] == list(range(PRESET.chunk.first))


@pytest.mark.parametrize("params", [{"carry": True}, {"carry": False}, {"steps": 3, "rows": 3, "seed": 9}])
def test_same_seed_same_input_same_controls_give_the_same_bits(params):
    frames = film(20)

    assert same(play(small_session(params=params), frames), play(small_session(params=params), frames))


def test_another_seed_gives_another_picture():
    frames = film(8)

    assert not same(play(small_session(params={"seed": 1}), frames), play(small_session(params={"seed": 2}), frames))


@pytest.mark.parametrize("params", [{"carry": False}, {"steps": 2, "rows": 2}])
def test_after_reset_a_session_is_as_new(params):
    used, frames = small_session(params=params), film(24)
    fresh = play(small_session(params=params), frames)
    play(used, film(18, seed=5))

    used.reset()

    assert same(play(used, frames), fresh)


def test_two_sessions_share_one_set_of_weights_without_meeting():
    models, frames = small_models(), film(16)
    alone = play(Session(models, PRESET), frames)
    one, other = Session(models, PRESET), Session(models, PRESET)
    pictures = []

    for frame, stranger in zip(frames, film(16, seed=7), strict=True):
        one.push(frame)
        other.push(stranger)
        pictures += one.step()
        other.step()

    assert same(pictures + one.flush(), alone)


def test_steps_and_rows_change_live_and_no_picture_is_lost():
    session, frames, pictures = small_session(), film(120), []
    plans = [(1, 0), (4, 4), (2, 2), (4, 2), (3, 1), (4, 0), (1, 1), (2, 0), (3, 3)]

    for frame in frames:
        if frame.index % 12 == 0:
            steps, rows = plans[frame.index // 12 % len(plans)]
            session.update(replace(PRESET.params, steps=steps, rows=rows))
        session.push(frame)
        pictures += session.step()

    assert [p.index for p in pictures + session.flush()] == [f.index for f in frames]


def test_a_change_of_steps_does_not_cut_the_picture():
    """The step from one frame to the next is no larger where the steps change than elsewhere in the stream."""
    frames = film(96)
    session, pictures = small_session(params={"steps": 2}), []

    for frame in frames:
        if frame.index == 48:
            session.update(replace(PRESET.params, steps=3))
        session.push(frame)
        pictures += session.step()

    jumps = [np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in zip(pictures, pictures[1:], strict=False)]
    assert max(jumps[44:52]) < 1.5 * max(jumps[20:44])


def test_a_new_prompt_changes_the_next_chunk_and_the_report_says_so():
    session, frames = small_session(params={"fade": 0.0}), film(16)
    plain = play(small_session(params={"fade": 0.0}), frames)
    pictures = []

    for frame in frames:
        if frame.index == 8:
            session.update(replace(PRESET.params, prompt="neon", fade=0.0, revision=5))
        session.push(frame)
        if done := session.step():
            pictures += done
            assert session.report.revision == (5 if frame.index >= 8 else 1)
            assert session.report.frame == done[0].index

    assert same(pictures[:8], plain[:8])
    assert not np.array_equal(pictures[8].pixels, plain[8].pixels)


def test_a_prompt_fades_over_its_seconds():
    frames = film(60, fps=20.0)
    session, contexts = small_session(params={"fade": 1.0, "prompt": "ink"}), []

    for frame in frames:
        if frame.index == 8:
            session.update(replace(PRESET.params, prompt="gold", fade=1.0))
        session.push(frame)
        if session.step():
            contexts.append(session._conditioning.context[0][0])

    moves = [float((a - b).abs().max()) for a, b in zip(contexts, contexts[1:], strict=False)]
    assert moves[0] == 0.0
    assert all(move > 0 for move in moves[2:7]), "five chunks of 0.2 s"
    assert max(moves[7:]) == 0.0


def test_a_prompt_that_takes_time_lets_the_old_one_play_on():
    with ThreadPoolExecutor(1) as aside:
        session, gate = small_session(params={"fade": 0.0}, submit=aside.submit), []
        frames = film(40)
        for frame in frames[:8]:
            session.push(frame)
            session.step()
        blocker = aside.submit(lambda: [None for _ in iter(lambda: bool(gate), True)])
        session.update(replace(PRESET.params, prompt="neon", revision=9))
        for frame in frames[8:16]:
            session.push(frame)
            session.step()
        waiting = session.report.revision
        gate.append(True)
        blocker.result(timeout=10)
        aside.submit(int).result(timeout=10)
        for frame in frames[16:24]:
            session.push(frame)
            session.step()

    assert waiting == 1
    assert session.report.revision == 9


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(ValueError, match="64x32"):
        small_session().push(Frame(np.zeros((16, 16, 3), np.uint8), 0.0, 0))


def test_no_noise_is_still_a_picture():
    assert len(play(small_session(params={"noise": 0.0, "steps": 4}), film(8))) == 8
