import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import bridge.run
from bridge.cli.commands import main
from bridge.cli.printing import progress
from bridge.control.control import ControlState, EngineStatus
from bridge.options import RunOptions
from engine.params import CONTROLS, Params

ROOT = Path(__file__).parents[3]
DESK = ControlState(Params(), lambda *_: None)
DESK.publish(engine=EngineStatus(preset="tiny"))
STATUS = json.loads(json.dumps(DESK.to_dict()))


@pytest.fixture(autouse=True)
def no_file_of_this_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))


@pytest.fixture
def started(monkeypatch):
    """The options of every run, without running: what a run does is its own tests' business."""
    runs = []
    app = ModuleType("bridge.run.app")
    app.run = lambda options: runs.append(options) or 0
    monkeypatch.setitem(sys.modules, "bridge.run.app", app)
    monkeypatch.setattr(bridge.run, "app", app, raising=False)
    return runs


@pytest.fixture
def instance():
    """Something that answers HTTP with what it is told to, and writes down what it was asked."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        status, body = 200, b"{}"

        def do_GET(self):
            length = int(self.headers.get("content-length", 0))
            asked.append((self.command, self.path, self.rfile.read(length)))
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.asked, server.answer = asked, Answer
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def port(server):
    return ["--web-port", str(server.server_port)]


def test_a_run_without_options_is_a_run_with_the_defaults(started):
    assert main(["run"]) == 0
    assert started == [RunOptions(browser=False)]  # no terminal here, so no browser


def test_every_option_arrives(started):
    command = "run --in camera:1 --out recorder:a.mp4 --out ring:b --preset tiny --size 640x384 --fps 24 --duration 5 "
    command += "--host 0.0.0.0 --osc-host ::1 --token abcd-1234 "
    command += "--osc-port 1 --feedback-port 2 --web-port 3 --root /stage --ring r --no-browser "
    command += "--prompt neon --steps 3 --noise 0.5 --carry --no-freeze"

    main(command.split())

    assert started == [
        RunOptions(
            input="camera:1",
            outputs=("recorder:a.mp4", "ring:b"),
            size=(640, 384),
            fps=24.0,
            duration=5.0,
            browser=False,
            host="0.0.0.0",
            token="abcd-1234",
            osc_host="::1",
            osc_port=1,
            feedback_port=2,
            web_port=3,
            root="/stage",
            ring="r",
            controls={"prompt": "neon", "steps": 3, "noise": 0.5, "carry": True, "freeze": False},
        )
    ]


def test_the_command_line_wins_over_the_file(started, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('input = "clip"\nosc_port = 9000\n[controls]\nsteps = 4\nseed = 1', encoding="utf-8")

    main(["run", "--config", str(file), "--osc-port", "9001", "--steps", "1"])

    assert (started[0].input, started[0].osc_port) == ("clip", 9001)
    assert started[0].controls == {"steps": 1, "seed": 1}


def test_every_live_control_is_an_option_of_run(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])

    help = capsys.readouterr().out
    assert all(f"--{row.name}" in help for row in CONTROLS)


@pytest.mark.parametrize(
    "command, words",
    [
        ("", ["COMMAND", "--help"]),
        ("frobnicate", ["frobnicate", "--help"]),
        ("run --frobnicate", ["--frobnicate", "latentcast run --help"]),
        ("obs setup --frobnicate", ["--frobnicate", "latentcast obs setup --help"]),
        ("render bridge out.mp4", ["bridge is a folder"]),
        ("render /dev/null out.mp4", ["/dev/null is not a file"]),
        (f"render {'a' * 300}.mp4 {'b' * 300}.mp4", ["aaa.mp4 does not exist"]),
        ("preset tiny --size 3", ["--size", "latentcast preset --help"]),
        ("run --in", ["--in", "run --help"]),
        ("run --size 333x190", ["333x190", "336x192"]),
        ("run --size big", ["size", "320x192"]),
        ("run --preset nope", ["nope", "known: tiny"]),
        ("run --steps 9", ["steps", "1 to 4"]),
        ("run --steps two", ["steps", "two"]),
        ("run --noise nan", ["noise", "nan"]),
        ("run --osc-port 99999", ["osc-port", "65535"]),
        ("run --token secret", ["token", "8 to 128"]),
        ("run --token=", ["token", "8 to 128"]),
        ("status --token secret", ["token", "8 to 128"]),
        ("run --osc-host=", ["osc-host", "127.0.0.1"]),
        ("run --duration -1", ["duration", "above 0"]),
        ("run --config nowhere.toml", ["nowhere.toml", "configs/bridge.toml"]),
        ("render nowhere.mp4 out.mp4", ["nowhere.mp4"]),
        ("render in.mp4 a.mp4 --out b.mp4", ["a.mp4", "b.mp4", "one of them"]),
        ("render pyproject.toml ./pyproject.toml", ["overwrite"]),
        ("preset nope", ["nope", "known: tiny"]),
        ("status --web-port 1", ["not running", "latentcast run"]),
        ("preset tiny --web-port 1", ["not running", "latentcast run"]),
    ],
)
def test_a_mistake_is_one_sentence_and_a_next_step(started, capsys, monkeypatch, command, words):
    monkeypatch.chdir(ROOT)

    assert main(command.split()) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 2
    assert all(word in said.err for word in words), said.err
    assert started == []


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"latentcast {version('latentcast')}\n"


def test_status_is_what_the_instance_answers(instance, capsys):
    instance.answer.body = json.dumps(STATUS).encode()

    assert main(["status", "--json", *port(instance)]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_a_preset_is_asked_for_by_name(instance):
    assert main(["preset", "tiny", *port(instance)]) == 0
    assert instance.asked == [("POST", "/api/actions/preset", b'{"arguments": ["tiny"]}')]


def test_a_refusal_is_passed_on_in_the_instances_words(instance, capsys):
    instance.answer.status = 422
    instance.answer.body = json.dumps({"error": "no room for it", "hint": "take a smaller one"}).encode()

    assert main(["preset", "tiny", *port(instance)]) == 2
    assert "no room for it\n  take a smaller one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "status, body",
    [
        (200, b"<html>"),
        (404, b"<html>"),
        (422, b"[]"),
        (500, b'{"error": 1}'),
        (200, b'{"status": "fine"}'),
        (200, b"[1, 2]"),
        (200, json.dumps(STATUS | {"engine": "V8"}).encode()),
    ],
)
def test_another_program_at_the_port_is_told_apart(instance, capsys, status, body):
    instance.answer.status, instance.answer.body = status, body

    assert main(["status", *port(instance)]) == 2
    assert "not latentcast" in capsys.readouterr().err


@pytest.mark.parametrize("body", [b'{"status": "fine"}', b'{"engine": []}', b"[]", b"7"])
def test_the_presets_are_listed_though_another_program_answers(instance, capsys, body):
    instance.answer.body = body

    assert main(["preset", *port(instance)]) == 0
    said = capsys.readouterr().out
    assert "tiny" in said
    assert "running" not in said


def test_a_program_at_the_port_that_does_not_speak_http_is_told_apart(capsys):
    def greet(listener):
        talk, _ = listener.accept()
        with talk:
            talk.sendall(b"SSH-2.0-somebody\r\n")
            talk.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        code = main(["status", "--web-port", str(listener.getsockname()[1])])
        thread.join()

    assert code == 2
    assert "not latentcast" in capsys.readouterr().err


def test_the_presets_are_listed_whether_or_not_one_runs(instance, capsys):
    assert main(["preset", "--web-port", "1"]) == 0
    assert "running" not in capsys.readouterr().out

    instance.answer.body = json.dumps(STATUS).encode()
    main(["preset", *port(instance)])
    assert "running" in capsys.readouterr().out


def test_the_controls_are_printed_for_people_and_for_programs(capsys):
    main(["controls"])
    table = capsys.readouterr().out
    main(["controls", "--json"])
    rows = json.loads(capsys.readouterr().out)

    assert [row["name"] for row in rows] == [row.name for row in CONTROLS]
    assert all(row.name in table for row in CONTROLS)


@pytest.mark.process
def test_without_a_terminal_a_film_that_is_done_is_said_to_be_once(capsys):
    with progress("in.mp4 -> out.mp4") as advance:
        for done, total in ((1, 2), (2, 2), (2, 2)):  # the last one once the film is whole
            advance(done, total)

    assert capsys.readouterr().err.count("\n") == 1


def test_it_runs_as_a_program_and_minds_a_closed_pipe():
    command = f"{sys.executable} -m bridge.cli.commands controls --json | head -c 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, timeout=180, env=os.environ)

    assert done.stdout == b"["
    assert done.stderr == b""


START = "import sys; from bridge.cli.start import main; print('begun', flush=True); sys.exit(main())"


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="asks with POSIX signals")
@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_ctrl_c_while_it_starts_is_no_traceback(after):
    options = ["--web-port", "0", "--osc-port", "0", "--feedback-port", "0", "--no-browser", "--in", "testcard"]
    command = [sys.executable, "-c", START, "run", "--ring", f"lc-tc-{os.getpid()}", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) as run:
        assert run.stdout.readline() == "begun\n"
        time.sleep(after)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=180)

    assert "Traceback" not in said, said
    assert run.returncode in (0, 130)
