"""What is said about the show cannot end the show."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.process.terminal import Output
from tests.bridge.running import Running, until

ROOT = Path(__file__).parents[3]
posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


def shell(command, **environment):
    """What `command` says, and its exit code; `$L` in it is latentcast."""
    line = command.replace("$L", f"{sys.executable} -m bridge.cli.commands")
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, timeout=180, env=env)


@pytest.fixture
def run():
    runs = []

    def run(*options, **streams):
        runs.append(Running(*options, **streams))
        return runs[-1]

    yield run
    for running in runs:
        running.close()


@posix
@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_a_prompt_that_the_log_cannot_spell_does_not_end_the_run(run, encoding):
    running = run(environment={"PYTHONIOENCODING": encoding})
    running.state("streaming")
    running.say("/prompt", "雪 🦊")
    until(lambda: running.status()["params"]["prompt"] == "雪 🦊")
    running.process.stdout.readline()
    until(lambda: running.process.stdout.readline().rstrip().endswith("? ?"))
    running.end()

    assert running.process.returncode == 0


@full
@pytest.mark.process
def test_a_run_whose_log_is_on_a_full_disk_streams_and_ends_as_asked(run):
    with open("/dev/full", "w", encoding="utf-8") as log:
        running = run(stdout=log, stderr=log)
        running.state("streaming")
        running.end()

    assert running.process.returncode == 0


@posix
@pytest.mark.process
def test_a_run_streams_on_when_nobody_reads_its_output_any_more(run):
    running = run()
    running.process.stdout.readline()
    running.process.stdout.close()
    running.process.stderr.close()
    running.process.stdout = running.process.stderr = None  # `communicate` reads what is there
    running.state("streaming")
    running.say("/input", "nowhere.mp4")  # which is said
    running.say("/prompt", "neon")
    until(lambda: running.status()["params"]["prompt"] == "neon")
    running.end()

    assert running.process.returncode == 0


@posix
@pytest.mark.process
def test_a_terminal_that_stands_still_does_not_hold_the_run(run):
    """Ctrl-S, or text that is being selected in a Windows console: what is written there waits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(writing, "wb", 0) as pipe:
        while pipe.write(b"x" * 4096):
            pass
        os.set_blocking(writing, True)
        running = run(stdout=pipe, stderr=pipe)
    try:
        running.state("streaming")
        running.say("/prompt", "neon")
        until(lambda: running.status()["params"]["prompt"] == "neon")
        running.end()
        assert running.process.returncode == 0
    finally:
        os.close(reading)


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    with open(master, "rb", 0), open(slave, "wb", 0) as terminal:
        yield terminal


@posix
@pytest.mark.process
@pytest.mark.parametrize("browser", ["false", "/nowhere/browser"])
def test_a_browser_that_does_not_open_ends_nothing(run, terminal, browser):
    running = run(browser=True, environment={"BROWSER": browser, "DISPLAY": ":1000"}, stdout=terminal)
    running.state("streaming")
    running.end()

    assert running.process.returncode == 0
    assert "Traceback" not in running.process.stderr.read()


@posix
@pytest.mark.process
def test_a_run_does_not_wait_at_its_end_for_a_browser_that_stays_in_front(run, terminal, tmp_path):
    """As a browser for text does, or one that BROWSER names: `webbrowser` returns when that program ends."""
    opened, closed = tmp_path / "opened", tmp_path / "closed"
    os.mkfifo(closed)
    browser = f"sh -c 'touch {opened}; cat {closed}' %s"
    running = run(browser=True, environment={"BROWSER": browser, "DISPLAY": ":1000"}, stdout=terminal)
    until(opened.exists)
    running.state("streaming")
    running.end()
    os.close(os.open(closed, os.O_WRONLY))

    assert running.process.returncode == 0


@posix
@pytest.mark.process
def test_a_run_without_standard_streams_streams_and_its_rings_are_whole(run):
    command = 'exec "$@" <&- >&- 2>&-'
    running = run(before=["bash", "-c", command, "-"])
    running.watch().state("streaming")
    running.end()

    assert running.process.returncode == 0
    assert running.viewer.seen


@posix
@pytest.mark.parametrize("command", ["controls", "controls --json", "--help", "preset --web-port 1"])
def test_who_reads_only_the_first_line_gets_it_and_no_traceback(command):
    done = shell(f"set -o pipefail; $L {command} | head -n 1")

    assert done.stdout.count(b"\n") == 1
    assert (done.stderr, done.returncode) == (b"", 0)


@posix
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_the_terminal_cannot_spell_is_a_question_mark(encoding, tmp_path):
    done = shell(f"$L render '{tmp_path}/雪.mp4' out.mp4", PYTHONIOENCODING=encoding)

    assert b"?.mp4" in done.stderr
    assert done.returncode == 2


@full
@pytest.mark.parametrize("command", ["controls", "controls --json", "preset --web-port 1"])
def test_an_answer_that_a_full_disk_does_not_take_is_a_failure_in_one_sentence(command):
    done = shell(f"$L {command} > /dev/full")

    assert done.stderr.startswith(b"latentcast: the output could not be written: No space left")
    assert (done.stderr.count(b"\n"), done.returncode) == (2, 2)


@posix
@pytest.mark.parametrize("streams", ["2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("controls", 0), ("nope", 2), ("status --web-port 1", 2)])
def test_a_mistake_is_one_though_nobody_can_be_told(streams, command, code):
    assert shell(f"$L {command} {streams}").returncode == code


def test_what_was_written_in_the_background_is_out_at_the_end():
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream, open(reading, "rb", 0) as reader:
        output = Output(stream)
        output.write_in_background()
        for number in range(100):
            output.write(f"{number}\n")
        output.finish(60.0)

        assert reader.read(4096).split() == [b"%d" % number for number in range(100)]


def test_a_stream_that_is_not_read_takes_words_without_end_and_waits_for_none():
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        output = Output(stream)
        output.write_in_background()
        for _ in range(2000):
            output.write("x" * 4096)
        kept = threading.active_count()
        os.close(reading)
        output.finish(60.0)
    assert kept < 20
