"""Plan, then execute: recorded works drive another session to the same pictures, however much happened live."""

from dataclasses import replace

import numpy as np
import pytest

from engine.session import Session
from engine.stream.work import BadWork, from_json
from tests.engine.models.test_lora import write_lora
from tests.engine.small import PRESET, film, play, same, small_models

CHANGES = {
    8: {"prompt": "neon", "fade": 0.5},
    20: {"steps": 4, "rows": 2},
    36: {"noise": 0.4, "motion": 0.3, "seed": 9},
    48: {"steps": 3, "rows": 3, "carry": False},
    60: {"rows": 1, "prompt": "ink:0.7 | gold:0.3", "lora": "one:0.6"},
    80: {"steps": 1, "lora": ""},
}


def live(models, frames, changes=CHANGES):
    """Play with controls that move; the pictures, and the works as lines of JSON."""
    works = []
    session, params, pictures = Session(models, PRESET, record=works.append), PRESET.params, []
    for frame in frames:
        if frame.index in changes:
            session.update(params := params.set_all(changes[frame.index]))
        session.push(frame)
        pictures += session.step()
    return pictures + session.flush(), [work.to_json() for work in works]


def replay(models, frames, lines):
    session, pictures = Session(models, PRESET), []
    for frame in frames:
        session.push(frame)
    for line in lines:
        pictures += session.replay(from_json(line))
    return pictures


def test_recorded_works_make_the_same_pictures_without_any_control(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    frames = film(103)  # not a whole number of chunks
    write_lora(tmp_path / "loras" / "one.safetensors", small_models().denoiser)

    pictures, lines = live(small_models(), frames)

    assert same(replay(small_models(), frames, lines), pictures)
    assert [picture.index for picture in pictures] == list(range(103))


def test_a_log_is_small():
    _, lines = live(small_models(), film(80), {8: {"steps": 4}})

    assert max(map(len, lines)) < 1500


def test_what_was_decided_can_be_changed_in_the_log():
    frames = film(24)
    pictures, lines = live(small_models(), frames, {})

    louder = [replace(from_json(line), noise=0.2).to_json() for line in lines]

    assert not np.array_equal(replay(small_models(), frames, louder)[5].pixels, pictures[5].pixels)


@pytest.mark.parametrize("lost", [1, 5])
def test_a_work_that_does_not_follow_is_refused(lost):
    frames = film(40)
    _, lines = live(small_models(), frames, {0: {"steps": 3, "rows": 3}})

    with pytest.raises(BadWork, match="does not follow"):
        replay(small_models(), frames, lines[:lost] + lines[lost + 1 :])


@pytest.mark.parametrize("window", [{"slots": 5}, {"sinks": 2}], ids=str)
def test_a_work_for_another_window_is_refused_before_anything_is_written(window):
    frames, other = film(40), replace(PRESET, window=replace(PRESET.window, **window))
    _, lines = live(small_models(), frames, {})
    session = Session(small_models(), other)
    for frame in frames:
        session.push(frame)

    with pytest.raises(BadWork, match="for another window"):
        for line in lines:
            session.replay(from_json(line))


def test_a_work_whose_frames_are_missing_is_refused():
    frames = film(24)
    _, lines = live(small_models(), frames, {})

    with pytest.raises(BadWork, match="takes 4 frames, and 3 are there"):
        replay(small_models(), frames[:15], lines)


def test_after_a_replay_and_a_reset_a_session_plans_for_itself_again():
    frames, models = film(40), small_models()
    fresh = play(Session(models, PRESET), frames)
    _, lines = live(models, film(24, seed=4), {0: {"steps": 2, "rows": 2}})
    session = Session(models, PRESET)
    for frame in film(24, seed=4):
        session.push(frame)
    for line in lines:
        session.replay(from_json(line))

    session.reset()

    assert same(play(session, frames), fresh)
