import threading
from dataclasses import replace

import numpy as np
import pytest

from bridge.control.metrics import Meter
from bridge.playout.mixer import Mixer
from bridge.playout.playout import Playout, ring_kind
from bridge.rings.ring import RingReader, RingWriter
from engine.clock import monotonic
from engine.frame import Frame
from engine.params import Params
from tests.bridge.child_processes import child, ring_name
from tests.bridge.films import numbered
from tests.bridge.running import until

FPS = 50


class Stage:
    """Rings, a camera that films, and a playout; what came out, with the moment it did."""

    def __init__(self):
        self.names = [ring_name() for _ in range(3)]
        self.rings = [RingWriter.create(name, 160, 96) for name in self.names]
        self.params, self.meter = Params(), Meter()
        self.playout = Playout(*self.names, lambda: self.params, self.meter)
        self.seen = []
        self.filming = True
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._film, self._look)]

    def __enter__(self):
        self.playout.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.playout.stop()
        for ring in self.rings:
            ring.close()

    def wet(self, index, captured):
        self.rings[1].write(Frame(255 - numbered(index), captured, index))

    def wait(self, count):
        """So many pictures, from now on, each with the moment it came."""
        self.seen.clear()
        return until(lambda: len(self.seen) >= count and self.seen[:count])

    def _film(self):
        start, index = monotonic(), 0
        while not self._over.wait(max(0.0, start + index / FPS - monotonic())):
            if self.filming:
                self.rings[0].write(Frame(numbered(index), start + index / FPS, index))
            index += 1

    def _look(self):
        with RingReader(self.names[2]) as reader:
            while not self._over.is_set():
                if (frame := reader.next(timeout=0.1)) is not None:
                    self.seen.append((monotonic(), frame))


@pytest.fixture
def stage():
    with Stage() as stage:
        stage.wait(25)
        yield stage


def test_pictures_leave_at_the_rate_of_the_camera(stage):
    seen = stage.wait(2 * FPS)

    filmed = seen[-1][1].index - seen[0][1].index + 1
    assert filmed == pytest.approx(len(seen), rel=0.25)  # a busy machine leaves some out
    gaps = np.diff([moment for moment, _ in seen])
    assert 0.5 / FPS < np.median(gaps) < 3 / FPS


def test_without_an_engine_the_camera_is_on_bit_for_bit(stage):
    _, frame = stage.wait(15)[-1]

    assert np.array_equal(frame.pixels, numbered(frame.index))
    assert stage.playout.dry


def test_the_controls_of_the_bridge_need_no_engine(stage):
    stage.params = replace(stage.params, panic=True)
    _, slate = stage.wait(15)[-1]
    assert slate.pixels[0, 0].tolist() != [255, 0, 0]  # the card's red corner

    stage.params = replace(stage.params, panic=False, freeze=True)
    stage.wait(5)
    assert len({frame.index for _, frame in stage.wait(15)}) == 1

    stage.params = replace(stage.params, freeze=False)
    assert len({frame.index for _, frame in stage.wait(15)}) > 5


def test_when_the_camera_ends_pictures_still_leave(stage):
    stage.filming = False

    until(lambda: stage.wait(5)[-1][1].pixels[0, 0].tolist() != [255, 0, 0])


def test_the_meter_knows_rates_and_ages(stage):
    wanted = pytest.approx(FPS, rel=0.15)

    until(lambda: (fields := stage.meter.fields())["fps_in"] == wanted and fields["fps_out"] == wanted)
    assert stage.meter.fields()["latency_ms"]["p50"] > 0


@pytest.mark.process
def test_a_killed_engine_leaves_no_gap_and_no_dark_picture(stage):
    preset = ("--preset", "tiny", "--size", "160x96")
    command = ("tests.bench.identity_engine", "4", *preset, "--inbox", stage.names[0], "--outbox", stage.names[1])
    with child(*command) as engine:
        while engine.hear().get("stage") != "streaming":
            pass
        until(lambda: not stage.playout.dry)
        stage.wait(FPS)
        stage.seen.clear()
        engine.process.kill()
        until(lambda: stage.playout.dry)
        held = list(stage.seen)
        camera = stage.wait(15)

    assert len(held) > FPS / 2, "pictures went on leaving"
    assert min(frame.pixels.max() for _, frame in held) > 50
    assert np.unique([frame.index for _, frame in held], return_counts=True)[1].max() > 10, "it held the last picture"
    assert all(np.array_equal(frame.pixels, numbered(frame.index)) for _, frame in camera[-3:]), "it shows the camera"


def test_it_stops_twice():
    stage = Stage()
    stage.playout.stop()
    with stage:
        pass
    stage.playout.stop()


def test_a_tick_that_fails_is_said_once_and_pictures_go_on(stage, monkeypatch, caplog):
    choose, wrong = Mixer.choose, iter([True, True, True])
    monkeypatch.setattr(Mixer, "choose", lambda *a: 1 / 0 if next(wrong, False) else choose(*a))

    stage.wait(FPS)

    assert [record.levelname for record in caplog.records if record.name == "playout"] == ["ERROR"]


@pytest.mark.parametrize(
    ("kind", "controls", "expected"),
    [
        ("wet", {}, "effect"),
        ("dry", {}, "input"),
        ("dry", {"bypass": True}, "input"),
        ("dry", {"freeze": True}, "held input"),  # not what the input shows now
        ("dry", {"freeze": True, "privacy": True}, "held input"),
        ("wet", {"freeze": True}, "effect"),
        ("slate", {}, "no input"),
        ("slate", {"panic": True}, "slate"),
        ("slate", {"privacy": True}, "slate"),
    ],
)
def test_who_has_a_better_picture_of_the_input_is_told_when_it_may_show_that(kind, controls, expected):
    assert ring_kind(kind, Params().set_all(controls)) == expected
