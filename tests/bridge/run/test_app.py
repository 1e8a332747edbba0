"""Whole runs, in processes of their own, watched only through what people have: pictures, OSC, HTTP, signals."""

import os
import signal
import socket
import sys
import time

import pytest

from bridge.process.protocol import DEADLINE
from engine.clock import monotonic
from engine.preset import load_preset
from engine.weights import locate
from tests.bridge.running import FPS, LIGHT, TIMEOUT, Running, alive, until

DARK = 255 - LIGHT  # what the engine of paper makes of it
TRAINED = locate(load_preset("tiny").dit.weights).is_file()
pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform == "win32", reason="asks with POSIX signals")]


@pytest.fixture
def start():
    runs = []

    def start(*options, **more):
        runs.append(Running(*options, **more))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def test_pictures_go_through_the_engine_and_the_status_says_how(start):
    run = start("--prompt", "negative").watch()
    run.shows(DARK)
    run.state("streaming")
    until(lambda: run.status()["fps_out"] == pytest.approx(FPS, rel=0.3))
    status = until(lambda: (s := run.status())["stages_ms"] and s)

    assert status["engine"] | {"pid": 0} == {
        "pid": 0, "restarts": 0, "stage": "streaming", "device": "paper", "preset": "tiny",
    }  # fmt: skip
    assert status["params"]["prompt"] == "negative"
    assert status["latency_ms"]["p50"] > 0
    assert {output["name"] for output in status["outputs"]} >= {run.out, "web"}


def test_a_prompt_over_osc_reaches_the_engine_and_the_frame_is_named(start):
    run = start().watch()
    run.state("streaming")
    run.say("/prompt", "pencil sketch")
    revision = until(lambda: (s := run.status())["params"]["prompt"] == "pencil sketch" and s["revision"])
    applied = until(lambda: (a := run.status()["applied"])["revision"] == revision and a)

    assert applied["frame"] > 0


def test_killing_the_engine_leaves_no_hole_and_the_same_controls_come_back(start):
    run = start("--prompt", "negative", "--steps", "3").watch()
    for kills in range(1, 4):
        run.state("streaming")
        before, moment = run.status(), monotonic()
        os.kill(before["engine"]["pid"], signal.SIGKILL)
        run.state("degraded", "failover")
        after = run.state("streaming")

        assert after["engine"]["restarts"] == kills
        assert after["engine"]["pid"] != before["engine"]["pid"]
        assert after["params"] == before["params"]
        assert run.viewer.count(moment) > FPS / 4, "the outputs went on"
    run.end()
    assert run.left_over() == []


def test_without_an_engine_the_picture_is_held_and_then_the_input_is_shown(start):
    run = start().watch()
    run.state("streaming")
    run.shows(DARK)
    pid = None
    for _ in range(4):  # the waits between starts add up to more than a second
        pid = until(lambda last=pid: (now := run.status()["engine"]["pid"]) != last and now)
        os.kill(pid, signal.SIGKILL)
    run.shows(LIGHT)
    run.state("failover")

    run.shows(DARK)
    run.state("streaming")


def test_a_hung_engine_is_replaced_and_what_the_bridge_controls_works_meanwhile(start):
    run = start().watch()
    run.state("streaming")
    run.shows(DARK)
    os.kill(run.status()["engine"]["pid"], signal.SIGSTOP)
    run.shows(LIGHT)
    run.say("/panic", True)
    until(lambda: run.viewer.grey not in (LIGHT, DARK))
    run.say("/panic", False)

    status = run.state("streaming")
    assert status["engine"]["restarts"] == 1
    run.shows(DARK)


def test_an_engine_that_cannot_work_is_said_and_the_input_goes_on(start, tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text('extends = "tiny"\n[controls]\nprompt = "weights"\n')
    run = start(preset=str(broken)).watch()
    status = run.state("error")
    run.shows(LIGHT)

    assert status["engine"]["restarts"] == 0
    run.close()
    assert "cut short" in run.said[0] + run.said[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_when_told_to_with_nothing_left(start, number):
    run = start().watch()
    run.state("streaming")
    children = run.children()

    run.end(number)
    assert run.process.returncode == 0
    assert run.left_over() == []
    until(lambda: not alive(children))


def test_killed_itself_it_leaves_no_process_and_no_memory(start):
    run = start().watch()
    run.state("streaming")
    children = run.children()
    run.end(signal.SIGKILL)

    until(lambda: not alive(children))
    until(lambda: run.left_over() == [])


def test_a_run_that_was_stopped_for_a_while_goes_on_with_the_same_engine(start):
    run = start().watch()
    engine = run.state("streaming")["engine"]
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(DEADLINE + 1.5)
    run.process.send_signal(signal.SIGCONT)
    moment = monotonic()
    until(lambda: run.viewer.count(moment) > 2 * FPS)

    assert run.status()["engine"] == engine


def test_an_input_that_hangs_is_said_and_started_again(start):
    run = start(source="testcard").watch()
    run.state("streaming")
    (source,) = [process for process in alive(run.children()) if "bridge.adapters.source_main" in process.cmdline()]
    source.send_signal(signal.SIGSTOP)
    until(lambda: not alive([source]))
    run.state("streaming")
    run.close()

    assert "input: input gave no sign of life for 5 s" in run.said[0]


def record(run):
    run.say("/record", True)
    until(lambda: [one for one in run.status()["outputs"] if (one["name"], one["state"]) == ("record", "streaming")])


def test_the_end_waits_for_a_recording_that_takes_long_and_says_so(start, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSES_IN", "4")
    run = start(folder=tmp_path)
    run.state("streaming")
    record(run)
    until(lambda: list(tmp_path.glob("*.part")))
    run.end()
    run.close()

    (film,) = tmp_path.iterdir()
    assert film.suffix == ".mp4"
    assert f"finishing {film.name}; Ctrl-C again stops at once" in run.said[0]


def test_a_second_ctrl_c_ends_the_wait_for_a_recording_and_what_is_left_of_it_is_said(start, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSES_IN", "600")
    run = start(folder=tmp_path)
    run.state("streaming")
    record(run)
    children = run.children()
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)  # impatient, and not told yet what there is to wait for
    until(lambda: "Ctrl-C again" in run.process.stdout.readline())
    run.end()
    run.close()

    (part,) = tmp_path.iterdir()
    assert part.suffix == ".part"
    assert f"what was recorded until then is in {part.name}" in run.said[0]
    until(lambda: not alive(children))
    assert run.left_over() == []


def test_it_ends_by_itself_after_its_duration(start):
    run = start("--duration", "1.5")

    assert run.process.wait(TIMEOUT) == 0
    assert run.left_over() == []


def test_a_second_run_does_not_take_the_output_of_the_first(start):
    first = start().watch()
    first.state("streaming")
    second = start("--ring", first.out)

    assert second.process.wait(TIMEOUT) == 2
    assert f"ring {first.out} belongs to process {first.process.pid}" in second.process.stderr.read()
    first.state("streaming")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--in", "nowhere.mp4"], "nowhere.mp4"),
        (["--in", "ring:lc-test-nowhere"], "no ring named lc-test-nowhere"),
        (["--in", "camera:77"], "camera"),
        (["--out", "spoon:me"], "spoon"),
        (["--preset", "tinny"], "tinny"),
        (["--size", "321x192"], "multiples of 16"),
        (["--ring", "a/b"], "cannot name a ring"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_started_is_said_in_one_sentence_and_nothing_is_left(start, options, says):
    run = start(*options)
    said, errors = run.process.communicate(timeout=TIMEOUT)

    assert run.process.returncode == 2
    assert says in errors
    assert "Traceback" not in errors + said
    assert run.left_over() == []


def test_a_port_in_use_is_said_before_anything_is_left(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = start("--web-port", str(taken.getsockname()[1]))
        _, errors = run.process.communicate(timeout=TIMEOUT)

    assert run.process.returncode == 2
    assert "in use" in errors
    assert run.left_over() == []


def test_the_input_can_be_changed_and_a_wrong_one_changes_nothing(start):
    run = start().watch()
    run.shows(DARK)
    run.say("/input", "testcard")
    until(lambda: run.status()["input"] == "testcard")
    until(lambda: run.viewer.grey != DARK)
    run.say("/input", "nowhere.mp4")
    time.sleep(1.0)
    until(lambda: run.status()["input"] == "testcard")
    run.say("/input", f"ring:{run.camera.ring.name}")
    run.shows(DARK)


def test_of_inputs_asked_for_in_a_hurry_the_last_one_alone_plays(start):
    run = start().watch()
    run.shows(DARK)
    for number in range(10):
        run.say("/input", ("testcard", "clip")[number % 2])
        time.sleep(0.1)
    wanted = f"ring:{run.camera.ring.name}"
    run.say("/input", wanted)
    until(lambda: [process for process in alive(run.children()) if wanted in process.cmdline()])
    run.shows(DARK)

    assert sum("bridge.adapters.source_main" in process.cmdline() for process in alive(run.children())) == 1


def test_a_recording_is_started_and_finished_by_word(start, tmp_path):
    run = start(folder=tmp_path)
    run.state("streaming")
    run.say("/record", True)
    until(lambda: "record" in {output["name"] for output in run.status()["outputs"]})
    until(lambda: [path for path in tmp_path.glob("*.part") if path.stat().st_size])
    run.say("/record", False)
    (film,) = until(lambda: list(tmp_path.glob("latentcast-*.mp4")))

    assert film.stat().st_size > 0
    until(lambda: "record" not in {output["name"] for output in run.status()["outputs"]})


def test_another_preset_is_another_engine_and_a_wrong_one_changes_nothing(start):
    run = start("--prompt", "negative", "--preset", "wan-1.3b", "--size", "320x192").watch()
    before = run.state("streaming")
    first = before["engine"]["pid"]
    run.say("/preset", "tinny")
    time.sleep(0.5)
    assert run.status()["engine"]["pid"] == first

    run.say("/preset", "tiny")
    until(lambda: run.status()["engine"]["pid"] not in (first, None))
    after = run.state("streaming")["params"]
    assert after["prompt"] == "negative", "people's controls stay"
    assert (before["params"]["noise"], after["noise"]) == (0.8, 0.71), "and others start as the model likes them"
    run.shows(DARK)


def test_the_model_that_was_asked_for_is_told_before_its_engine_says_a_word(start, tmp_path):
    slow = tmp_path / "slow.toml"
    slow.write_text('extends = "tiny"\n[controls]\nprompt = "slow"\n')
    run = start().watch()
    run.state("streaming")

    for asked, told in ((str(slow), "slow"), ("tiny", "tiny")):  # a scene of OBS may come and go as fast
        run.do("preset", asked)
        assert run.status()["engine"]["preset"] == told


def test_an_output_is_switched_off_and_finished_while_the_rest_goes_on(start, tmp_path):
    run = start("--out", f"recorder:{tmp_path / 'show.mp4'}").watch()
    run.state("streaming")
    assert "recorder" in {output["name"] for output in run.status()["outputs"]}
    run.say("/output/recorder", False)
    until((tmp_path / "show.mp4").is_file)

    run.say("/output/nothing", True)
    assert run.state("streaming")


@pytest.mark.skipif(not TRAINED, reason="the embedded model's weights are not in this checkout")
def test_the_embedded_model_takes_words_and_comes_back_with_them_after_a_kill(start):
    run = start("--steps", "1", program="bridge.cli.commands").watch()
    run.state("streaming")
    run.say("/prompt", "pencil sketch")
    revision = until(lambda: (s := run.status())["params"]["prompt"] == "pencil sketch" and s["revision"])
    until(lambda: run.status()["applied"]["revision"] == revision)
    before, moment = run.status(), monotonic()
    os.kill(before["engine"]["pid"], signal.SIGKILL)
    run.state("degraded", "failover")
    after = run.state("streaming")

    assert after["params"] == before["params"]
    assert after["engine"]["restarts"] == 1
    assert run.viewer.count(moment) > FPS / 4
    run.end()
    assert run.left_over() == []
