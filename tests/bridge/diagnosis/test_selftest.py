"""The self-test for real: processes, rings, a file, NDI where it is installed, and what stands in the way."""

import json
import os
import sys
import threading
import time

import numpy as np
import pytest

from bridge.cli.commands import main
from bridge.diagnosis import selftest, selftest_process
from bridge.errors import BridgeError, RingError
from bridge.rings.ring import RingReader, RingWriter, ring_names
from tests.bridge.adapters.ndi_here import ndi_here
from tests.bridge.child_processes import ring_name

__all__ = ["ndi_here"]
pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert [name for name in ring_names() if f"-{os.getpid()}-" in name] == []


def findings(capsys):
    said = json.loads(capsys.readouterr().out)
    return {check["name"]: check for check in said["checks"]}


def test_a_ring_is_tested_unless_something_else_is_named(capsys):
    assert main(["selftest", "--json", "--duration", "1"]) == 0

    found = findings(capsys)
    assert list(found) == ["orientation", "colour", "alpha", "rate", "latency"]
    assert found["colour"]["found"] == "within 0 of 255"
    assert found["alpha"]["found"] == "opaque"


def test_it_prints_a_table_for_people(capsys):
    assert main(["selftest", "--duration", "0.5"]) == 0

    assert "the right way up" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["80x48", "97x65"])
def test_a_small_and_an_odd_card_is_read_as_well(capsys, size):
    assert main(["selftest", "--size", size, "--json", "--duration", "0.5"]) == 0

    assert findings(capsys)["colour"]["found"] == "within 0 of 255"


def test_a_recording_is_finished_and_then_looked_at(capsys, tmp_path):
    assert main(["selftest", f"recorder:{tmp_path / 'card.mp4'}", "--json", "--duration", "1"]) == 0

    found = findings(capsys)
    assert found["latency"]["found"] == "a file has none"
    assert found["orientation"]["level"] == found["rate"]["level"] == "ok"


@pytest.mark.extra("ndi")
def test_ndi_on_this_machine_is_fine_but_for_its_compression(capsys, ndi_here):
    assert main(["selftest", f"ndi:{ring_name()}", "--json", "--duration", "1.5"]) == 0

    assert findings(capsys)["orientation"]["level"] == "ok"


class Between(threading.Thread):
    """A program between an output and an input, which flips what it passes on and lets the background shine through."""

    def __init__(self, theirs, ours):
        super().__init__(daemon=True)
        self.theirs, self.ours, self.over = theirs, ours, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                reader = RingReader(self.theirs)
            except RingError:
                time.sleep(0.01)
                continue
            with reader, RingWriter.create(self.ours, reader.width, reader.height) as writer:
                self._pass_on(reader, writer)

    def _pass_on(self, reader, writer):
        pixels = np.empty((reader.height, reader.width, 4), np.uint8)
        while not self.over.is_set() and not reader.orphaned:
            if (stamp := reader.read_rgba_into(pixels)) is not None:
                flipped = pixels[::-1, :, [2, 1, 0, 3]].copy()
                flipped[..., 3] = 100
                writer.write_rgba(flipped, *stamp)
            time.sleep(0.002)

    def close(self):
        self.over.set()
        self.join()


def test_what_a_program_in_between_does_is_found_and_the_exit_code_says_so(capsys):
    theirs, ours = ring_name(), ring_name()
    between = Between(theirs, ours)
    try:
        assert main(["selftest", f"ring:{ours}", f"ring:{theirs}", "--json", "--duration", "1"]) == 1
    finally:
        between.close()

    found = findings(capsys)
    assert found["orientation"]["found"] == "upside down"
    assert found["colour"]["found"] == "red and blue are exchanged"
    assert found["alpha"]["found"] == "from 100 to 100 of 255"
    assert found["latency"]["level"] == "ok"


def test_when_nothing_comes_back_it_says_so_and_does_not_wait_for_ever(capsys, monkeypatch):
    monkeypatch.setattr(selftest, "FIRST_PICTURE_TIMEOUT", 0.5)
    monkeypatch.setattr(selftest_process, "run_apart", selftest_process.run_here)
    with RingWriter.create(ring_name(), 160, 96) as still:
        assert main(["selftest", f"ring:{still.name}", f"ring:{ring_name()}", "--json"]) == 1

    assert findings(capsys)["picture"]["found"] == "none came back"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["camera:0"], ["nothing can be sent to camera:0", "selftest camera:0 OUT", "recorder, ring"]),
        (["obs:9600"], ["one port for each direction", "obs:9514 obs:9513"]),
        (["--size", "79x48"], ["cannot be read at 79x48", "80x48"]),
        (["memory"], ["which input shows memory is not known", "IN OUT"]),
        (["ring:x", "sprout:x"], ["no output named", "known:"]),
        (["nowhere.mp4", "memory"], ["nowhere.mp4", "does not exist"]),
        (["--duration", "soon"], ["duration", "above 0"]),
        (["recorder:/no/such/folder/x.mp4"], ["no folder", "make it first"]),
    ],
)
def test_what_cannot_be_tested_is_one_sentence_and_a_next_step(capsys, arguments, words):
    assert main(["selftest", *arguments]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert all(word in said for word in words), said


def test_our_own_sender_that_does_not_appear_is_told_from_somebody_elses(monkeypatch):
    monkeypatch.setattr(selftest, "FIND_TIMEOUT", 0.5)
    monkeypatch.setattr(selftest, "partner", lambda sink, device: "ring:lc-ta-nobody")
    monkeypatch.setitem(selftest.NOT_FOUND_HINTS, "ring", "say where it is")

    with pytest.raises(BridgeError, match="sends, and is not found on this machine: there is no ring named") as error:
        selftest.play(selftest.Loop("", f"ring:{ring_name()}"))
    assert error.value.hint == "say where it is"


def test_a_ring_that_never_appears_is_said(capsys, monkeypatch):
    monkeypatch.setattr(selftest, "FIND_TIMEOUT", 0.5)
    monkeypatch.setattr(selftest_process, "run_apart", selftest_process.run_here)

    assert main(["selftest", "ring:lc-ta-nobody", f"ring:{ring_name()}"]) == 2
    assert "no ring named lc-ta-nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", ["a library crashed in the test of ndi", "try again", "'latentcast[ndi]'"]),
        ("print('a library says hello')", ["a library crashed in the test of ndi (code 0)"]),
        ("import time; time.sleep(60)", ["the test of ndi did not finish in time", "other programs"]),
    ],
)
def test_a_driver_that_crashes_or_hangs_is_one_sentence_and_a_next_step(capsys, monkeypatch, code, words):
    monkeypatch.setattr(selftest_process, "python", lambda *_: [sys.executable, "-c", code])
    for limit in ("OPEN_TIMEOUT", "FIND_TIMEOUT", "FIRST_PICTURE_TIMEOUT", "FINISH_TIMEOUT", "MARGIN"):
        monkeypatch.setattr(selftest_process, limit, 1.0)

    assert main(["selftest", "ndi", "--duration", "0.1"]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("sink", "device", "source"),
    [
        ("ring:x", "x", "ring:x"),
        ("ndi", "VM (latentcast)", "ndi:VM (latentcast)"),
        ("ndi:Stage, 2,swap", "VM (Stage, 2)", "ndi:VM (Stage, 2),swap"),
        ("spout:Stage", "Stage_1", "spout:Stage_1"),
        ("virtualcam:640x480", "/dev/video9", "camera:9"),
        ("recorder:films/show.mp4", "show-2.mp4", os.path.join("films", "show-2.mp4")),
    ],
)
def test_the_input_that_shows_an_output_is_known(sink, device, source):
    assert selftest.partner(sink, device) == source


def test_where_it_is_not_known_one_is_asked_for_it():
    with pytest.raises(BridgeError, match="which input shows virtualcam is not known"):
        selftest.partner("virtualcam", "OBS Virtual Camera")


@pytest.mark.skipif(sys.platform == "win32", reason="a folder for devices")
def test_one_uri_stands_for_both_ends():
    assert selftest.choose("ring:x", "") == ("ring:x", "ring:x")
    assert selftest.choose("virtualcam", "") == ("", "virtualcam")
    assert selftest.choose("ndi", "") == ("", "ndi")
    assert selftest.choose("camera:1", "virtualcam") == ("camera:1", "virtualcam")
