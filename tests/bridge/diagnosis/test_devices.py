import json
import sys

import pytest

from bridge.adapters.base import DEVICE_LISTS, Device, list_devices
from bridge.adapters.camera_names import CAPABILITY, Node, nodes
from bridge.cli.commands import main
from bridge.diagnosis import devices
from bridge.diagnosis.doctor import Check
from bridge.rings.ring import RingWriter
from tests.bridge.adapters.doubles import spoutgl, syphon
from tests.bridge.adapters.ndi_here import ndi_here
from tests.bridge.adapters.others import another_program
from tests.bridge.child_processes import ring_name

__all__ = ["ndi_here"]


@pytest.mark.process
def test_every_kind_is_listed_with_what_to_type_or_why_not(capsys):
    with RingWriter.create(ring_name(), 160, 96) as ring:
        assert main(["devices", "--json"]) == 0
        found = {kind["name"]: kind for kind in json.loads(capsys.readouterr().out)}
        main(["devices"])

    assert list(found) == list(DEVICE_LISTS)
    assert [f"ring:{ring.name}", "160x96"] in found["ring"]["devices"]
    assert all(kind["fix"] for kind in found.values() if kind["problem"])
    assert f"ring:{ring.name}" in capsys.readouterr().out


def test_a_ring_left_behind_by_a_program_that_ended_is_listed_as_such():
    with RingWriter.create(ring_name(), 160, 96) as ring:
        ring._words[5] = 2**22 + 1  # a process id that no system gives
        listed = list_devices("ring")
        ring._words[5] = ring._owner

    assert Device(f"ring:{ring.name}", "160x96, left behind by a program that ended") in listed


@pytest.mark.parametrize(("kind", "double"), [("spout", spoutgl), ("syphon", syphon)])
def test_senders_of_other_programs_are_listed_by_the_name_one_types(monkeypatch, kind, double):
    double.install(monkeypatch)
    with another_program(kind, name="Scene, 2") as program:
        assert program.uri in [device.uri for device in list_devices(kind)]


def test_a_spout_sender_that_crashed_is_listed_as_such_and_its_name_can_be_used_again(monkeypatch):
    spoutgl.install(monkeypatch)
    spoutgl.senders["old"] = None

    assert list_devices("spout") == [Device("spout:old", "no longer answers")]


@pytest.mark.extra("ndi")
def test_ndi_sources_are_listed_with_their_computers(ndi_here):
    with another_program("ndi") as program:
        listed = list_devices("ndi")

    assert any(f"({program.name})" in device.uri for device in listed)


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os; os.abort()", "ended with code"),
        ("print('a library says hello')", "ended with code 0"),
        ("import time; time.sleep(60)", "gave no answer"),
    ],
)
def test_a_driver_that_crashes_or_hangs_takes_only_its_own_line_along(monkeypatch, code, problem):
    monkeypatch.setattr(devices, "ANSWER_TIMEOUT", 2.0)
    monkeypatch.setattr(devices, "python", lambda *_: [sys.executable, "-c", code])

    (kind,) = devices.look(["spout"])

    assert problem in kind.problem
    assert kind.fix


def test_a_line_to_type_is_never_broken_however_narrow_the_terminal(monkeypatch, capsys):
    cure = "sudo apt install v4l2loopback-dkms; sudo modprobe v4l2loopback exclusive_caps=1"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(devices, "look", lambda: [devices.Kind("virtualcam", (), "there is none", cure)])

    assert main(["devices"]) == 0
    monkeypatch.setattr(
        "bridge.cli.commands.examine", lambda options: [Check("virtualcam", "note", "there is none", cure)]
    )
    assert main(["doctor"]) == 0

    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert said.count(cure) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="asks Video4Linux")
def test_cameras_are_asked_in_the_order_of_their_numbers_and_what_cannot_be_asked_says_why(tmp_path):
    for name in ("video10", "video2", "video0-lens", "other"):
        (tmp_path / name).touch()

    assert [node.number for node in nodes(tmp_path)] == [2, 10]
    assert all("cannot be asked" in node.problem for node in nodes(tmp_path))


@pytest.fixture
def video_nodes(monkeypatch, tmp_path):
    """Four devices in a folder of their own: a webcam and what belongs to it, a loopback, one that cannot be asked."""
    found = [
        Node(tmp_path / "video0", "uvcvideo", "Webcam", 0x1),
        Node(tmp_path / "video1", "uvcvideo", "Webcam's metadata", 0x800000),
        Node(tmp_path / "video9", "v4l2 loopback", "latentcast", 0x2),
        Node(tmp_path / "video10", problem="cannot be asked: Permission denied"),
    ]
    monkeypatch.setattr("bridge.adapters.camera_names.nodes", lambda: found)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="asks Video4Linux")
def test_only_what_can_film_is_a_camera(video_nodes):
    assert list_devices("camera") == [
        Device("camera:0", "Webcam"),
        Device("camera:10", "cannot be asked: Permission denied"),
    ]


@pytest.mark.extra("virtualcam")
@pytest.mark.skipif(sys.platform != "linux", reason="asks Video4Linux")
def test_only_a_loopback_is_a_virtual_camera(video_nodes):
    assert list_devices("virtualcam") == [Device(f"virtualcam:{video_nodes / 'video9'}", "latentcast")]


def test_the_answer_of_a_driver_has_the_size_the_kernel_says():
    assert CAPABILITY.size == 104
