import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from functools import wraps
from pathlib import Path

import numpy as np
import psutil
import pytest

from bridge.children import restarts, supervisor
from bridge.children.engine_link import EngineLink
from bridge.children.supervisor import Child, module_command
from bridge.process.protocol import DEADLINE
from bridge.rings.ring import RingReader, RingWriter
from bridge.rings.segment import process_alive
from engine.clock import monotonic
from engine.frame import Frame
from engine.params import Params

GREY = np.full((192, 320, 3), 100, np.uint8)
pytestmark = pytest.mark.process

TALK = """
import sys
print("hello", flush=True)
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
"""


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self, deadline=None):
        self.deadline = deadline
        self.finishes = self.worked = False
        self.starts, self.lines, self.ends = 0, [], []

    def started(self):
        self.starts += 1

    def heard(self, line):
        self.lines.append(line.strip())

    def ended(self, reason, final):
        self.ends.append((reason, final))


async def until(look, within=60.0):
    deadline = monotonic() + within
    while not look():
        assert monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def child(code, deadline=None):
    notes = Notes(deadline)
    child = Child("child", [sys.executable, "-c", code], notes)
    child.start()
    try:
        yield child, notes
    finally:
        await child.stop()


def scene(test):
    """Run an async test function."""

    @wraps(test)  # which also shows pytest the fixtures it asks for
    def play(*args, **fixtures):
        asyncio.run(asyncio.wait_for(test(*args, **fixtures), 120))

    return play


@scene
async def test_lines_go_down_and_come_up():
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        assert talker.send("prompt\n")
        await until(lambda: len(notes.lines) == 2)

    assert notes.lines == ["hello", "heard prompt"]


@scene
async def test_stopping_is_prompt_and_leaves_no_process(monkeypatch):
    monkeypatch.setattr(supervisor, "END_TIMEOUT", 30.0)  # it is not made to end: it ends
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        pid, began = talker.pid, monotonic()
        await talker.stop()

        assert monotonic() - began < 10.0
    assert not process_alive(pid)
    assert notes.ends == [], "an end that was asked for is no news"


@scene
async def test_a_child_that_will_not_end_is_made_to(monkeypatch):
    monkeypatch.setattr(supervisor, "END_TIMEOUT", 0.2)
    async with child("print('hi', flush=True)\nwhile True: pass") as (talker, notes):
        await until(lambda: notes.lines)
        pid = talker.pid
        await talker.stop()
    assert not process_alive(pid)


@scene
async def test_a_child_that_dies_is_started_again_after_growing_waits():
    async with child("import sys; print('up', flush=True); sys.exit(3)") as (talker, notes):
        began = monotonic()
        await until(lambda: notes.starts == 3)

        assert monotonic() - began > 0.2 + 0.4
        assert talker.restarts == 2
    assert notes.ends[0] == ("child ended with code 3", False)


@scene
async def test_a_child_that_fell_over_is_quoted():
    async with child("import no_such_module") as (_, notes):
        await until(lambda: notes.ends)

    assert notes.ends[0][0] == "child ended with code 1: ModuleNotFoundError: No module named 'no_such_module'"


STARTS_ANOTHER = """
import os, signal, subprocess, sys
another = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=-3, stdout=-3)
print(another.pid, flush=True)
{then}
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no process groups that could be ended")
@pytest.mark.parametrize("then", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.stdin.read()"])
@scene
async def test_what_a_child_has_started_ends_with_it_and_keeps_nobody_waiting(then):
    async with child(STARTS_ANOTHER.format(then=then)) as (talker, notes):
        await until(lambda: notes.lines)
        if "kill" in then:
            await until(lambda: notes.starts == 2)
        else:
            await talker.stop()

        await until(lambda: not runs(int(notes.lines[0])))


def runs(pid):
    """Whether it still does something; one that nobody takes note of any more may be a zombie."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_folder_of_the_users_does_not_stand_in_for_ours(tmp_path, monkeypatch):
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(Path(supervisor.__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    ended = subprocess.run(module_command("bridge.worker.main", "--help"), capture_output=True, text=True, timeout=120)

    assert ended.returncode == 0, ended.stderr


@scene
async def test_who_is_no_longer_interested_in_a_stop_does_not_undo_it():
    async with child("import time; print('here', flush=True); time.sleep(60)") as (it, notes):
        await until(lambda: notes.lines)
        pid = it.pid
        stop = asyncio.create_task(it.stop())
        await asyncio.sleep(0.05)
        stop.cancel()
        await it.stop()

        assert not process_alive(pid)


@scene
async def test_a_child_that_gave_up_is_left_alone_until_someone_asks():
    async with child("import sys; sys.exit(2)") as (talker, notes):
        await until(lambda: notes.ends)
        await asyncio.sleep(0.5)
        assert notes.starts == 1
        assert notes.ends == [("child ended with code 2", True)]

        talker.restart([sys.executable, "-c", TALK])
        await until(lambda: notes.lines)
    assert notes.starts == 2


@scene
async def test_a_restart_that_was_asked_for_is_at_once_and_no_failure():
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        first = talker.pid
        talker.restart()
        await until(lambda: notes.starts == 2 and len(notes.lines) == 2)

        assert talker.pid != first
    assert notes.ends == [("", False)]


@scene
@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
async def test_a_hung_child_is_killed_and_started_again():
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        pid, notes.deadline = talker.pid, 2.0
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: notes.ends)
        notes.deadline = None  # the next one has all the time it needs to start
        await until(lambda: notes.starts == 2)

    assert notes.ends[0] == ("child gave no sign of life for 2 s", False)
    assert not process_alive(pid)


SILENT_FOR_4_S = """
import sys, time
print("hello", flush=True)
sys.stdin.readline()
print("busy", flush=True)
time.sleep(4)
print("back", flush=True)
sys.stdin.read()
"""


@scene
async def test_time_in_which_we_stood_still_ourselves_is_not_held_against_a_child():
    async with child(SILENT_FOR_4_S) as (talker, notes):
        await until(lambda: notes.lines)
        notes.deadline = 3.0
        talker.send("now\n")
        await until(lambda: "busy" in notes.lines)
        time.sleep(3.5)  # as after Ctrl-Z or with a suspended laptop: nothing of this process runs
        await until(lambda: "back" in notes.lines)

        assert (notes.starts, notes.ends) == (1, [])


FINISHES = """
import sys, time
print("hello", flush=True)
sys.stdin.read()
for _ in range({beats}):
    time.sleep(0.5)
    print("getting on", flush=True)
time.sleep({then})
"""


@scene
async def test_what_is_being_finished_has_all_the_time_it_takes_while_it_gets_on(monkeypatch):
    monkeypatch.setattr(supervisor, "END_TIMEOUT", 0.2)
    monkeypatch.setattr(supervisor, "FINISH_TIMEOUT", 2.0)
    async with child(FINISHES.format(beats=6, then=0)) as (recorder, notes):
        await until(lambda: notes.lines)
        notes.finishes = True

        assert await recorder.stop() == ""
    assert notes.lines == ["hello", *["getting on"] * 6]


@scene
async def test_what_cannot_be_finished_is_ended_and_said(monkeypatch):
    monkeypatch.setattr(supervisor, "FINISH_TIMEOUT", 1.0)
    async with child(FINISHES.format(beats=1, then=600)) as (recorder, notes):
        await until(lambda: notes.lines)
        notes.finishes, pid = True, recorder.pid

        assert await recorder.stop() == "child did not end within 1 s"
    assert not process_alive(pid)


@scene
async def test_an_end_is_not_put_off_by_talking_if_there_is_nothing_to_finish(monkeypatch):
    monkeypatch.setattr(supervisor, "END_TIMEOUT", 0.5)
    async with child(FINISHES.format(beats=600, then=0)) as (talker, notes):
        await until(lambda: notes.lines)

        assert await talker.stop() == "child did not end within 0.5 s"


FAILS = "import sys; print('up', flush=True); raise ValueError('a preset of nonsense at', object())"


@scene
async def test_a_child_that_fails_in_the_same_way_at_every_start_is_left_alone_until_someone_asks():
    async with child(FAILS) as (failing, notes):
        await until(lambda: notes.ends and notes.ends[-1][1])
        assert notes.starts == restarts.MAX_SAME_FAILURES
        assert failing.always_fails
        assert "fails in the same way at every start: ValueError: ('a preset of nonsense at'" in notes.ends[-1][0]

        failing.restart([sys.executable, "-c", TALK])
        await until(lambda: "hello" in notes.lines)
        assert not failing.always_fails


@scene
async def test_a_child_that_has_worked_is_tried_again_for_ever():
    async with child(FAILS) as (failing, notes):
        notes.worked = True
        await until(lambda: notes.starts == 1)
        await until(lambda: notes.ends)
        notes.worked = False
        await until(lambda: notes.starts > restarts.MAX_SAME_FAILURES + 1)

        assert not failing.always_fails


CROWDED = """
import asyncio, os, resource, sys
from bridge.children.supervisor import Child

class Notes:
    deadline, finishes, worked = None, False, False
    def started(self): print("started", flush=True)
    def heard(self, line): pass
    def ended(self, reason, final): print(reason, flush=True)

def fill():
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return

held = []
async def main():
    child = Child("engine", [sys.executable, "-c", "import sys; sys.stdin.read()"], Notes())
    child.start()
    while child.pid is None:
        await asyncio.sleep(0.01)
    fill()
    for _ in range({free}):
        os.close(held.pop())
    os.kill(child.pid, 9)
    await asyncio.sleep(1.5)
    assert child.pid is None, child.pid
    for descriptor in held:
        os.close(descriptor)
    while child.pid is None:
        await asyncio.sleep(0.01)
    await child.stop()

resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
asyncio.run(main())
"""


@pytest.mark.parametrize("free", [0, 7])
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX resource limits")
def test_with_every_descriptor_taken_a_child_is_tried_again_until_it_can_be_started(free):
    run = subprocess.run([sys.executable, "-c", CROWDED.format(free=free)], capture_output=True, text=True, timeout=120)

    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    assert said[:2] == ["started", "engine was ended by signal 9"]
    assert said[-1] == "started"
    assert set(said[2:-1]) == {"engine cannot be started: Too many open files"}


@scene
async def test_a_program_that_is_not_there_is_said_and_tried_again():
    notes = Notes()
    lost = Child("lost", ["lc-no-such-program"], notes)
    lost.start()
    await until(lambda: len(notes.ends) == 2)
    await lost.stop()

    assert "cannot be started" in notes.ends[0][0]


@scene
async def test_what_no_program_can_be_told_is_said_and_not_tried_again():
    notes = Notes()
    child = Child("input", [sys.executable, "-c", "a NUL: \0"], notes)
    child.start()
    await until(lambda: notes.ends)
    await child.stop()

    assert notes.ends == [("input cannot be started with what no program can be told", True)]


@scene
async def test_a_restart_is_not_lost_on_a_child_that_is_just_being_started():
    async with child("import time; time.sleep(10); print('old', flush=True); time.sleep(60)") as (talker, notes):
        await asyncio.sleep(0)  # its process is on its way
        talker.restart([sys.executable, "-c", TALK])
        await until(lambda: "hello" in notes.lines)

    assert "old" not in notes.lines


@scene
async def test_a_restart_that_comes_before_the_start_does_not_make_two():
    notes = Notes()
    early = Child("child", [sys.executable, "-c", TALK], notes)
    early.restart()
    early.start()
    await until(lambda: notes.lines)
    early.send("prompt\n")
    await until(lambda: "heard prompt" in notes.lines)
    await asyncio.sleep(0.5)
    await early.stop()

    assert (notes.starts, notes.lines) == (1, ["hello", "heard prompt"])


@pytest.mark.parametrize("news", ["started", "heard", "ended"])
@scene
async def test_a_listener_that_fails_loses_neither_the_child_nor_its_keeping(monkeypatch, caplog, news):
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        with monkeypatch.context() as fault:
            fault.setattr(notes, news, lambda *what: {}["a fault of ours"])
            if news != "heard":
                os.kill(talker.pid, signal.SIGTERM)
            await until(lambda: talker.send("prompt\n") and "a fault of ours" in caplog.text)
        await until(lambda: talker.pid)
        pid = talker.pid
        await until(lambda: talker.send("again\n") and "heard again" in notes.lines)

        assert talker.pid == pid, "a child that is well is not ended for a fault of ours"
        assert talker.restarts == (news != "heard")
    assert not process_alive(pid)


@scene
async def test_what_ought_not_to_fail_and_does_leaves_no_process_behind(monkeypatch, caplog):
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.2)
    async with child(TALK) as (talker, notes):
        await until(lambda: notes.lines)
        first = talker.pid
        with monkeypatch.context() as fault:
            fault.setattr(type(notes), "deadline", property(lambda self: {}["a fault of ours"]), raising=False)
            await until(lambda: "begins again" in caplog.text)
            assert not process_alive(first)
        await until(lambda: notes.starts == 2)
    assert not process_alive(talker.pid or first)


@scene
async def test_a_line_without_end_does_no_harm():
    size = 3 * supervisor.LINE_LIMIT
    async with child(f"print('x' * {size}, flush=True)\n{TALK}") as (_, notes):
        await until(lambda: "hello" in [line[-5:] for line in notes.lines])


@scene
async def test_what_a_child_logs_reaches_the_log(caplog):
    caplog.set_level("INFO")
    async with child("import sys; print('a lens is dirty', file=sys.stderr, flush=True)\n" + TALK) as (_, notes):
        await until(lambda: notes.lines)
        await until(lambda: "a lens is dirty" in caplog.text)


# ---- the engine


class Desk:
    """A link to an engine of paper, its rings, and what it said."""

    def __init__(self, preset="tiny", params=Params(), module="tests.bridge.inverting_engine"):  # noqa: B008
        name = f"lc-test-{os.getpid()}-{time.monotonic_ns() % 10**6}"
        self.inbox = RingWriter.create(f"{name}-in", 320, 192)
        self.outbox = RingWriter.create(f"{name}-wet", 320, 192)
        self.pictures = RingReader(self.outbox.name)
        self.command = [sys.executable, "-m", module, "--inbox", self.inbox.name, "--outbox", self.outbox.name]
        self.command += ["--preset", preset]
        self.reports, self.failures, self.stages = [], [], []
        self.link = EngineLink(
            self.command,
            params,
            self.reports.append,
            self.failures.append,
            lambda: self.stages.append(self.link.stage),
        )

    async def __aenter__(self):
        self.link.start()
        return self

    async def __aexit__(self, *error):
        await self.link.stop()
        for ring in (self.pictures, self.inbox, self.outbox):
            ring.close()

    async def streaming(self):
        await until(lambda: self.link.stage == "streaming")

    async def report(self, revision):
        """Feed pictures until a chunk is reported that saw `revision`."""
        index, deadline = 0, monotonic() + 60
        while not any(report.revision == revision for report in self.reports):
            assert monotonic() < deadline
            self.inbox.write(Frame(GREY, monotonic(), index))
            index += 1
            await asyncio.sleep(0.01)


@scene
async def test_the_link_shows_how_far_the_engine_is():
    async with Desk() as desk:
        await desk.streaming()
        status = desk.link.status

        assert desk.stages == ["starting", "loading", "warming", "streaming"]
        assert (status.stage, status.device, status.preset, status.restarts) == ("streaming", "paper", "tiny", 0)
        assert process_alive(status.pid)
    assert desk.link.stage == "offline"


@scene
async def test_the_newest_controls_reach_the_engine_and_are_reported_back():
    async with Desk() as desk:
        await desk.streaming()
        for revision in range(1, 200):
            desk.link.update(Params(prompt=f"look {revision}", revision=revision))
        await desk.report(revision=199)


@scene
async def test_a_new_engine_gets_every_control_as_it_is():
    async with Desk() as desk:
        await desk.streaming()
        desk.link.update(Params(prompt="kept", revision=7))
        await desk.report(revision=7)
        desk.reports.clear()
        os.kill(desk.link.status.pid, signal.SIGTERM)
        await until(lambda: desk.link.status.restarts == 1)
        await desk.streaming()
        await desk.report(revision=7)

        assert len(desk.failures) == 1
        assert "started again" in desk.failures[0]


@scene
async def test_a_crash_says_why():
    async with Desk() as desk:
        await desk.streaming()
        desk.link.update(Params(prompt="crash", revision=1))
        index, deadline = 0, monotonic() + 60
        while not desk.failures:  # the first chunks may be older than the prompt
            assert monotonic() < deadline
            desk.inbox.write(Frame(GREY, monotonic(), index))
            index += 1
            await asyncio.sleep(0.01)

        assert "the paper tore" in desk.failures[0]
        assert not desk.link.failed


@scene
async def test_an_engine_that_cannot_work_is_not_tried_again():
    async with Desk(preset="tinny") as desk:
        await until(lambda: desk.link.failed)
        await asyncio.sleep(0.3)

        assert desk.link.stage == "error"
        assert desk.link.status.restarts == 0
        assert "no preset 'tinny'" in desk.failures[0]
        assert len(desk.failures) == 1


@scene
async def test_an_engine_that_takes_longer_for_a_chunk_than_we_wait_for_others_is_slow_and_not_hung():
    async with Desk(params=Params(prompt="chunks of 6 s")) as desk:
        await desk.streaming()
        await desk.report(revision=0)

        assert desk.link.status.restarts == 0
        assert desk.link.deadline >= 4 * 6


@scene
async def test_an_engine_that_hangs_is_noticed_as_soon_as_its_chunks_are_short():
    async with Desk() as desk:
        await desk.streaming()
        await until(lambda: desk.link.deadline == DEADLINE)
        os.kill(desk.link.status.pid, signal.SIGSTOP)
        await until(lambda: desk.link.status.restarts == 1)

        assert desk.failures == ["engine gave no sign of life for 5 s; it is started again"]


@scene
async def test_an_engine_that_fails_in_the_same_way_at_every_start_is_an_error_that_says_so(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text('extends = "tiny"\n[controls]\nprompt = "crash"\n')
    async with Desk(str(broken), Params(prompt="crash")) as desk:
        await until(lambda: desk.link.failed)

        assert desk.link.stage == "error"
        assert desk.failures == [
            "ZeroDivisionError: the paper tore; the engine is started again",
            "engine fails in the same way at every start: ZeroDivisionError: the paper tore; "
            "choose another preset, or mend it and start the engine again",
        ]

        desk.link.update(Params(prompt="mended"))
        desk.link.restart([*desk.command[:-1], "tiny"])
        await desk.streaming()
        assert not desk.link.failed


@scene
async def test_a_reset_is_not_lost_on_an_engine_that_still_has_lines_to_read(monkeypatch):
    async with Desk() as desk:
        await desk.streaming()
        passed_on, refused, send = [], [], desk.link._child.send

        def slow_to_read(line):
            if len(refused) < 2:
                refused.append(line)
                return False
            passed_on.append(line)
            return send(line)

        monkeypatch.setattr(desk.link._child, "send", slow_to_read)
        desk.link.reset()
        assert passed_on == []

        await until(lambda: passed_on)
        desk.link.update(Params(prompt="later", revision=9))
        assert "".join(passed_on).count('"reset"') == 1
