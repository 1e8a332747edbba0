import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bridge.process.pipe import Pipe
from bridge.process.protocol import Beat, Failure, Report, Stage, decode
from bridge.rings.ring import RingReader, RingWriter
from bridge.worker.chunk_limit import ChunkLimit
from bridge.worker.main import run, warm, warm_chunks
from engine.clock import monotonic
from engine.frame import Frame
from engine.params import Params
from engine.preset import load_preset
from tests.bridge.child_processes import TIMEOUT

ROOT = Path(__file__).parents[3]


def frame(index, time=None):
    return Frame(np.zeros((4, 4, 3), np.uint8), time=index / 10 if time is None else time, index=index)


class Script:
    """A session, an inbox, an outbox and a control in one: it plays frames and writes down what happened."""

    def __init__(self, frames, changes, chunk=1):
        self.frames, self.changes, self.chunk, self.log = list(frames), dict(changes), chunk, []
        self.said, self.beats, self.held, self.report, self.missed = [], 0, [], None, 0
        self.deadlines = []
        self.newest_time = 0.0
        self.applied, self.problem = 0, ""

    @property
    def stopping(self):
        return not self.frames

    def latest(self):
        change = self.changes.get(len(self.frames))
        return self.changes.pop(len(self.frames)) if isinstance(change, Params) else None

    def take_reset(self):
        return self.changes.get(len(self.frames)) == "reset" and bool(self.changes.pop(len(self.frames)))

    def next(self, timeout):
        frame = self.frames.pop(0)
        if frame is not None:
            self.newest_time = max(self.newest_time, frame.time)
        return frame

    def beat(self, deadline):
        self.beats += 1
        self.deadlines.append(deadline)

    def say(self, message):
        self.said.append(message)

    def update(self, params):
        self.applied = params.revision
        self.log.append(params.prompt)

    def reset(self):
        self.log.append("reset")

    def push(self, frame):
        self.held.append(frame)

    def step(self):
        if len(self.held) < self.chunk:
            return []
        pictures, self.held = self.held, []
        problem, self.problem = self.problem, ""
        self.report = SimpleNamespace(
            revision=self.applied,
            frame=pictures[0].index,
            stages_ms={"model": 1.23456},
            backlog=0,
            problem=problem,
        )
        return pictures

    def write(self, frame):
        self.log.append(frame.index)


def play(script):
    run(script, script, script, script, ChunkLimit(0.1, Params(), rebuilds=False))
    return script


def test_a_prompt_lands_between_frames_and_every_frame_comes_out():
    script = play(Script([frame(i) for i in range(4)], changes={2: Params(prompt="snow")}))

    assert script.log == [0, 1, "snow", 2, 3]


def test_a_reset_comes_between_frames_too():
    script = play(Script([frame(i) for i in range(3)], changes={1: "reset"}))

    assert script.log == [0, 1, "reset", 2]


def test_each_chunk_is_reported_once_with_the_revision_it_saw():
    changes = {4: Params().set("prompt", "snow")}
    script = play(Script([frame(i) for i in range(8)], changes, chunk=4))

    assert script.said == [Report(0, 0, {"model": 1.235}, 0, 0), Report(1, 4, {"model": 1.235}, 0, 0)]


def test_what_could_not_be_obeyed_is_told_and_the_stream_goes_on():
    script = Script([frame(i) for i in range(3)], changes={})
    script.problem = "the prompt 'ghost' cannot be used"

    play(script)

    assert [str(said) for said in script.said if isinstance(said, Failure)] == ["the prompt 'ghost' cannot be used"]
    assert script.log == [0, 1, 2]


def test_frames_missed_on_the_way_count_as_dropped():
    script = Script([frame(0)], changes={})
    script.missed = 5

    assert play(script).said[0].dropped == 5


def test_the_loop_beats_with_no_frame_in_sight():
    script = play(Script([None, None, None], changes={}))

    assert script.beats == 3
    assert script.log == []


# ---- the pipes


def typed(*lines):
    """A pipe that hears these lines and then nothing more, and its voice."""

    def keyboard():
        yield from lines
        threading.Event().wait()  # the end of stdin would end this process, as it should

    pipe = Pipe(keyboard(), voice := io.StringIO())
    pipe.listen(Params(prompt="start"))
    return pipe, voice


def eventually(look, within=TIMEOUT):
    deadline = monotonic() + within
    while not (found := look()) and monotonic() < deadline:
        time.sleep(0.005)
    assert found
    return found


def test_the_newest_controls_win_and_the_rest_stay():
    pipe, _ = typed('{"params": {"prompt": "one", "steps": 3}}', '{"params": {"prompt": "two", "revision": 41}}')
    eventually(lambda: pipe._params.revision == 41)

    params = pipe.latest()

    assert (params.prompt, params.steps, params.revision) == ("two", 3, 41)
    assert pipe.latest() is None, "nothing moved since"


def test_reset_and_stop_are_heard():
    pipe, _ = typed('{"reset": true}', '{"stop": true}')
    eventually(lambda: pipe.stopping)

    assert pipe.take_reset()
    assert not pipe.take_reset()


@pytest.mark.parametrize(
    "line", ["hello", '{"params": {"promt": "x"}}', '{"params": {"steps": "many"}}', '{"beat": 1}']
)
def test_what_is_not_understood_is_answered_and_changes_nothing(line):
    pipe, voice = typed(line)
    answer = decode(eventually(voice.getvalue))

    assert answer.error
    assert pipe.latest() == Params(prompt="start")


def test_beats_come_when_the_loop_comes_round_but_not_at_every_turn():
    voice = io.StringIO()
    pipe = Pipe([], voice)
    for _ in range(100):
        pipe.beat()

    assert [decode(line) for line in voice.getvalue().splitlines()] == [Beat(1)]


# ---- the process


class Engine:
    """A worker process around tests/bridge/inverting_engine.py, and the rings on both sides of it."""

    def __init__(self, *options, module="tests.bridge.inverting_engine"):
        name = f"lc-test-{os.getpid()}-{time.monotonic_ns() % 10**6}"
        self.inbox = RingWriter.create(f"{name}-in", 320, 192)
        self.outbox = RingWriter.create(f"{name}-wet", 320, 192)
        self.pictures = RingReader(self.outbox.name)
        command = [sys.executable, "-m", module, "--preset", "tiny", "--inbox", self.inbox.name]
        self.process = subprocess.Popen(
            [*command, "--outbox", self.outbox.name, *options], cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, text=True
        )

    def type(self, **message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def tell(self, **message):
        """Type a message, and wait until it was read: lines are read in order, and nonsense is answered."""
        self.type(**message)
        self.type(nonsense=True)
        assert "not understood" in self.hear(Failure).error

    def hear(self, kind):
        for line in self.process.stdout:
            if isinstance(message := decode(line), kind):
                return message
        raise AssertionError(f"no {kind.__name__}: {self.process.stderr.read()}")

    def feed(self, indices):
        for index in indices:
            value = np.full((192, 320, 3), 10 * index, np.uint8)
            self.inbox.write(Frame(value, monotonic(), index))

    def close(self):
        self.process.kill()
        self.process.wait(TIMEOUT)
        for end in (self.process.stdin, self.process.stdout, self.process.stderr):
            end.close()
        for ring in (self.pictures, self.inbox, self.outbox):
            ring.close()


@pytest.fixture
def engine():
    started = []

    def start(*options, **more):
        started.append(Engine(*options, **more))
        return started[-1]

    yield start
    for engine in started:
        engine.close()


@pytest.mark.process
def test_the_process_loads_warms_streams_and_ends_with_its_stdin(engine):
    engine = engine()
    stages = [engine.hear(Stage)]
    while stages[-1].stage != "streaming":
        stages.append(engine.hear(Stage))
    engine.tell(params={"prompt": "negative", "revision": 5})
    engine.feed(range(4))
    report = engine.hear(Report)
    frames = [engine.pictures.next(TIMEOUT) for _ in range(4)]
    engine.process.stdin.close()

    assert list(dict.fromkeys(stage.stage for stage in stages)) == ["loading", "warming", "streaming"]
    assert stages[-1] == Stage("streaming", "paper", "tiny")
    assert (report.revision, report.frame) == (5, 0)
    assert [(f.index, f.pixels[0, 0, 0]) for f in frames] == [(i, 255 - 10 * i) for i in range(4)]
    assert engine.process.wait(TIMEOUT) == 0


@pytest.mark.process
def test_what_the_camera_saw_while_the_engine_loaded_is_neither_shown_nor_counted(engine, tmp_path):
    slow = tmp_path / "slow.toml"
    slow.write_text('extends = "tiny"\n[controls]\nprompt = "slow"\n')
    engine = engine("--preset", str(slow))
    engine.hear(Stage)
    time.sleep(0.5)  # it has opened the rings by now
    engine.feed(range(14))
    eventually(lambda: engine.hear(Stage).stage == "streaming")
    time.sleep(0.2)
    engine.feed(range(14, 18))

    assert engine.hear(Report) == Report(0, 14, {"invert": 0.1}, backlog=0, dropped=0)


@pytest.mark.process
def test_a_hung_process_ends_by_itself_when_the_bridge_is_gone(engine):
    engine = engine()
    eventually(lambda: engine.hear(Stage).stage == "streaming")
    engine.tell(params={"prompt": "hang"})
    engine.feed(range(4))
    eventually(lambda: "it hangs" in engine.process.stderr.readline())
    engine.process.stdin.close()

    assert engine.process.wait(TIMEOUT) == 1


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--preset", "tinny"], "no preset 'tinny'"),
        (["--size", "321x192"], "does not fit"),
        (["--inbox", "lc-test-nowhere"], "no ring named lc-test-nowhere"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence_and_not_tried_again(engine, options, says):
    engine = engine(*options)
    failure = None
    for line in engine.process.stdout:
        failure = decode(line)

    assert says in failure.error
    assert failure.hint
    assert engine.process.wait(TIMEOUT) == 2
    assert "Traceback" not in engine.process.stderr.read()


@pytest.mark.process
def test_a_crash_is_told_with_its_reason_and_may_be_tried_again(engine):
    engine = engine()
    eventually(lambda: engine.hear(Stage).stage == "streaming")
    engine.tell(params={"prompt": "crash"})
    engine.feed(range(4))
    lines = [decode(line) for line in engine.process.stdout]

    assert "ZeroDivisionError" in lines[-1].error
    assert engine.process.wait(TIMEOUT) == 1


def test_warming_up_fills_the_window_where_kernels_are_compiled_and_says_how_far_it_is():
    plain, said = load_preset("tiny"), []
    compiled = replace(plain, accel=replace(plain.accel, compiler="inductor"))
    script = Script([], changes={}, chunk=plain.chunk.first)

    warm(script, compiled, compiled.params.set("rows", 2), said.append)

    slots, rows = plain.window.slots, 2
    assert said == [f"compiling, {n} of {slots + rows + 1}" for n in range(1, slots + rows + 2)]
    assert script.log[-1] == "reset"
    assert warm_chunks(plain, plain.params) == 2
