import json
import os
import socket
from pathlib import Path

import pytest

from bridge.adapters.base import EXTRAS, Device
from bridge.cli.commands import main
from bridge.diagnosis import devices, doctor
from bridge.obs.address import ObsAddress
from bridge.options import RunOptions
from bridge.run.app import _make_ring
from engine.preset import load_preset
from tests.bridge.child_processes import ring_name
from tests.bridge.obs.speaker import Speaker


@pytest.fixture(autouse=True)
def generous_timeouts(monkeypatch):
    """More than people have, since the machine may be busy."""
    monkeypatch.setattr(doctor, "LOAD_TIMEOUT", 900.0)


@pytest.fixture
def options(free_ports):
    osc, web = free_ports
    return RunOptions(osc_port=osc, web_port=web)


@pytest.fixture
def free_ports():
    ports = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    return ports


def found(checks, name):
    (check,) = [check for check in checks if check.name == name]
    return check


@pytest.mark.process
def test_it_looks_at_everything_a_run_needs_and_says_what_to_do(options):
    checks = list(doctor.examine(options))

    names = [check.name for check in checks]
    outputs = [kind for kind in EXTRAS if devices.here(kind)]
    before, after = (
        ["python", "torch", "model memory", "model", "cameras", "codecs"],
        ["obs", "osc port", "web port", "shared memory"],
    )
    assert names == [*before, *outputs, *after]
    assert all(check.fix for check in checks if check.level != "ok")
    assert all("\n" not in check.fix for check in checks)


def test_what_the_remote_control_of_obs_needs_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "find_address", lambda: ObsAddress(enabled=False))
    assert "tick Enable WebSocket server" in doctor._obs().fix

    with Speaker() as obs:
        address = ObsAddress(port=obs.port)
        monkeypatch.setattr(doctor, "find_address", lambda: address)
        assert doctor._obs() == ("obs", "ok", f"OBS 29.0.2 answers at 127.0.0.1:{obs.port}", "")

    away = doctor._obs()
    assert (away.level, away.found) == ("note", f"OBS at 127.0.0.1:{address.port} does not answer")
    assert away.fix.startswith("start OBS")


def test_an_output_says_whether_it_can_be_used_and_what_to_do_if_not(monkeypatch):
    there = devices.Kind("ndi", (Device("ndi:VM (Stage)", ""),))
    lacking = devices.Kind("virtualcam", (), "virtualcam needs pyvirtualcam", "pip install it")
    monkeypatch.setattr(devices, "look", lambda kinds: [there, lacking, devices.Kind("spout")])

    ndi, virtualcam, spout = doctor._outputs()

    assert (ndi.level, ndi.found) == ("ok", "can be used; ndi:VM (Stage)")
    assert (virtualcam.level, virtualcam.found, virtualcam.fix) == ("note", lacking.problem, lacking.fix)
    assert (spout.level, spout.found) == ("ok", "can be used; no sender found")


def test_a_taken_port_is_a_failure_that_names_the_option(options):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((options.host, options.osc_port))
        check = found(doctor._ports(options), "osc port")

    assert check.level == "fail"
    assert "--osc-port" in check.fix


def test_a_taken_web_port_is_a_failure_that_names_the_option(options):
    with socket.create_server((options.host, options.web_port)):
        check = found(doctor._ports(options), "web port")

    assert check.level == "fail"
    assert check.found.count(str(options.web_port)) == 1, "Python's own sentence names the address once more"
    assert "--web-port" in check.fix


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing of a closed connection is left")
def test_a_port_whose_last_run_has_just_ended_is_free(options):
    with (
        socket.create_server((options.host, options.web_port)) as server,
        socket.create_connection((options.host, options.web_port)) as page,
    ):
        run, _ = server.accept()
        run.close()  # who closes first is left with a connection that lingers
        assert page.recv(1) == b""

    assert found(doctor._ports(options), "web port").level == "ok"


@pytest.mark.process
def test_weights_that_were_never_fetched_come_with_their_own_advice(monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTCAST_MODELS", str(tmp_path))
    roomy = "import engine.measure\nengine.measure.free_bytes = lambda _device: 2**50\n"
    monkeypatch.setattr(doctor, "LOAD_PROGRAM", roomy + doctor.LOAD_PROGRAM)

    check = doctor._model("wan-1.3b")

    assert check.level == "fail"
    assert str(tmp_path / "wan" / "vae.safetensors") in check.found
    assert "latentcast download" in check.fix


def test_a_model_that_does_not_load_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(doctor, "LOAD_PROGRAM", "raise RuntimeError('weights are damaged')")

    check = doctor._model("tiny")

    assert check.level == "fail"
    assert "weights are damaged" in check.found
    assert doctor._model("nope").found == "there is no preset 'nope'"


@pytest.mark.process
def test_a_model_that_takes_too_long_is_no_riddle(monkeypatch):
    monkeypatch.setattr(doctor, "LOAD_TIMEOUT", 0.5)
    monkeypatch.setattr(doctor, "LOAD_PROGRAM", "import time\ntime.sleep(60)\n")

    assert doctor._model("tiny").found.startswith("tiny does not load: not within")


@pytest.mark.process
def test_a_model_too_large_for_this_machine_is_said_before_it_is_loaded(monkeypatch):
    full = "import engine.measure\nengine.measure.free_bytes = lambda _device: 2**20\n"
    monkeypatch.setattr(doctor, "MEMORY_PROGRAM", full + doctor.MEMORY_PROGRAM)

    check = doctor._room(RunOptions(preset="tiny"))

    assert check.level == "fail"
    assert "tiny at 320x192 takes" in check.found and "1.0 MiB are free" in check.found
    assert "--size" in check.fix
    assert "tiny at 64x32" in doctor._room(RunOptions(preset="tiny", size=(64, 32))).found


@pytest.mark.process
def test_a_model_too_large_is_said_once_and_one_that_fits_at_the_asked_size_is_loaded_at_it(options, monkeypatch):
    full = "import engine.measure\nengine.measure.free_bytes = lambda _device: 2**20\n"
    monkeypatch.setattr(doctor, "MEMORY_PROGRAM", full + doctor.MEMORY_PROGRAM)
    monkeypatch.setattr(doctor, "LOAD_PROGRAM", "import sys\nsys.exit('it was loaded at ' + ' '.join(sys.argv[2:]))")

    large = [check for check in doctor.examine(options) if check.level == "fail"]
    small = doctor._model("tiny", (64, 32))

    assert [check.name for check in large] == ["model memory"]
    assert "loaded at 64 32" in small.found


def test_a_broken_torch_is_a_failure_and_not_a_crash(monkeypatch):
    monkeypatch.setattr(doctor, "TORCH_PROGRAM", "import os; os.abort()")
    assert doctor._torch().level == "fail"

    monkeypatch.setattr(doctor, "TORCH_PROGRAM", "print('hello')")
    assert doctor._torch().level == "fail"


def test_too_little_shared_memory_names_the_way_out():
    check = doctor._memory(RunOptions(size=(1_000_000, 1_000_000)))

    if check.level == "ok":
        pytest.skip("shared memory has no folder to measure on this system")
    assert "--shm-size" in check.fix


def test_the_shared_memory_it_asks_for_is_what_a_run_takes():
    preset = load_preset("tiny")
    with _make_ring(ring_name(), preset) as ring:
        taken = 3 * ring._memory.size / 2**20

    assert f"a run takes {taken:.0f} MiB" in doctor._memory(RunOptions()).found


def test_a_folder_of_the_users_does_not_stand_in_for_our_engine(tmp_path, monkeypatch):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(Path(doctor.__file__).parents[2]))
    monkeypatch.chdir(tmp_path)

    assert doctor._run("import engine.preset; print('ours')") == "ours\n"


def test_it_answers_in_json_and_its_exit_code_says_whether_something_failed(monkeypatch, capsys):
    for level, code in (("ok", 0), ("note", 0), ("fail", 1)):
        monkeypatch.setattr(
            "bridge.cli.commands.examine", lambda options, level=level: [doctor.Check("x", level, "y", "z")]
        )
        assert main(["doctor", "--json"]) == code
        assert json.loads(capsys.readouterr().out) == [{"name": "x", "level": level, "found": "y", "fix": "z"}]

    assert main(["doctor"]) == 1
    assert "z" in capsys.readouterr().out
