"""Memory that runs out: the engine process steps down and plays on, through the real worker and supervisor."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from bridge.worker.fallback import FallbackRun, ScaledSession
from bridge.worker.main import RealEngine
from engine.frame import Frame
from engine.measure import AllocationCounter
from engine.memory import TooLarge
from engine.preset import load_preset
from engine.session import open_session
from tests.bridge.running import Running
from tests.bridge.worker.test_main import typed

TINY = load_preset("tiny")


def most_taken(preset):
    """Bytes of tensors that a session of a preset takes at its worst moment, weights included."""
    with AllocationCounter("cpu") as count:
        session = open_session(preset)
        grey = np.full((preset.height, preset.width, 3), 128, np.uint8)
        for index in range(4 * preset.chunk.later):
            session.push(Frame(grey, index / 20, index))
            session.step()
    return count.most


@pytest.mark.process
def test_on_out_of_memory_smaller_pictures_are_made_and_the_same_process_plays_on(monkeypatch):
    whole, smaller = most_taken(TINY), most_taken(TINY.resized(240, 144))
    monkeypatch.setenv("TIGHT_BYTES", str((whole + smaller) // 2))
    run = Running(program="tests.bridge.tight_run")
    try:
        status = run.state("streaming", within=90)
        run.watch()
        applied = status["applied"]["frame"]
        later = run.state("streaming", within=10)
        picture = run.viewer.ring.latest() or run.viewer.ring.next(timeout=60)
        assert (status["engine"]["restarts"], later["engine"]["pid"]) == (0, status["engine"]["pid"])
        assert picture.size == (320, 192), "the outputs keep their size"
        assert applied >= 0
    finally:
        run.close()

    said = " ".join("".join(run.said).split())
    assert smaller < whole
    assert said.count("out of memory") == 1
    assert "pictures are made at 240x144 from now on" in said


def test_stepping_down_leaves_the_process_its_share_of_the_processors(monkeypatch):
    lowered = []
    monkeypatch.setattr("engine.threads.os.nice", lowered.append, raising=False)
    engine = RealEngine()
    with ThreadPoolExecutor(1) as aside:
        for preset in (TINY, TINY.resized(240, 144)):
            engine(preset, aside)

    assert len(lowered) == 1, "a process gives way once, whatever it opens"


def test_weights_that_do_not_fit_are_not_made_to_fit_by_smaller_pictures(monkeypatch):
    def build(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("engine.session.build", build)  # a card that fills up while weights are moved to it

    with ThreadPoolExecutor(1) as aside, pytest.raises(TooLarge, match="the weights of tiny do not fit"):
        RealEngine()(TINY, aside)


def test_a_way_steps_down_and_holds_the_controls_it_is_given():
    pipe, voice = typed()
    fallback = FallbackRun(TINY, pipe)
    fallback.check(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))

    fallback.step_down()
    assert (fallback.preset.width, fallback.preset.height) == (240, 144)
    while True:
        try:
            fallback.step_down()
        except TooLarge as error:
            assert "out of memory (CUDA out of memory" in str(error)
            break

    assert (fallback.preset.limits.rows, fallback.preset.limits.steps) == (0, 1)
    assert voice.getvalue().count("from now on") == 2, voice.getvalue()


def test_another_error_is_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        FallbackRun(TINY, typed()[0]).check(RuntimeError("shapes do not match"))


class Echo:
    report, device = None, "paper"

    def __init__(self):
        self.pushed = []

    def push(self, frame):
        self.pushed.append(frame)

    def step(self):
        return self.pushed


def test_pictures_are_scaled_on_their_way_in_and_out():
    inner = Echo()
    session = ScaledSession(inner, (240, 144), (320, 192))

    session.push(Frame(np.full((192, 320, 3), 90, np.uint8), 1.5, 7))
    (picture,) = session.step()

    assert inner.pushed[0].size == (240, 144)
    assert (picture.size, picture.time, picture.index) == ((320, 192), 1.5, 7)
    assert abs(int(picture.pixels.mean()) - 90) <= 1
