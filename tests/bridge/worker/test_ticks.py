"""A run without an input: the clock in the camera's place, the film made from words, the live picture."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from bridge.cli.commands import main
from bridge.media.movie import open_movie, rate_of
from bridge.media.pacing import Pacer
from bridge.worker.ticks import Ticks
from engine.frame import Frame
from engine.preset import load_preset
from engine.weights import locate
from tests.bridge.films import read_film
from tests.bridge.running import Running, until

TRAINED = locate(load_preset("tiny").dit.weights).is_file()
WORDS = """
extends = "tiny"
width = 64
height = 64
input = false
[schedule]
timesteps = [1000, 500, 0]
lead = 0
[chunk]
first = 12
later = 12
[controls]
steps = 2
"""


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.toml"
    path.write_text(WORDS)
    return str(path)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_ticks_are_due_at_the_rate_and_never_early():
    clock = Clock()
    ticks, seen = Ticks(8, 4, 10.0, clock, clock.sleep), []

    while len(seen) < 30:
        if (frame := ticks.next(timeout=0.03)) is not None:
            assert clock.now >= frame.time
            seen.append(frame)

    assert [frame.index for frame in seen] == list(range(30))
    assert np.allclose(np.diff([frame.time for frame in seen]), 0.1)
    assert seen[0].size == (8, 4)


def test_after_a_long_step_the_newest_tick_says_how_late_one_is():
    clock = Clock()
    ticks = Ticks(8, 4, 10.0, clock, clock.sleep)
    ticks.next(1.0)
    clock.now += 2.0

    late = ticks.next(1.0)

    assert ticks.newest_time - late.time == pytest.approx(1.9)
    assert clock.now == 102.0, "a tick that is due is not waited for"


def test_a_burst_of_twelve_pictures_leaves_one_by_one():
    period = 1 / 16
    pacer, shown, now = Pacer(period, burst=12), [], 0.0

    for tick in range(40 * 12):
        if tick % 12 == 0:
            for index in range(12):
                pacer.push(Frame(np.zeros((1, 1, 3), np.uint8), now, tick + index), now)
        if (frame := pacer.pop(now)) is not None:
            shown.append(frame.index)
        now += period

    assert len(shown) > 0.95 * 40 * 12 - 24
    assert shown == sorted(set(shown))


@pytest.mark.skipif(not TRAINED, reason="needs the embedded model's weights")
def test_render_makes_a_film_of_so_many_seconds_from_words_alone(words, tmp_path, capsys):
    asked = ["render", "--out", str(tmp_path / "a.mp4"), "--seconds", "1.5", "--preset", words, "--prompt", "ink"]

    assert main(asked) == main([*asked[:2], str(tmp_path / "b.mp4"), *asked[3:]]) == 0

    one, again = (read_film(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    with open_movie(tmp_path / "a.mp4") as movie:
        assert rate_of(movie.streams.video[0]) == Fraction(20)
    assert len(one) == 30
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, again, strict=True))
    assert one[0][0].std() > 1


@pytest.mark.parametrize(
    "line, said",
    [
        ("render --out x.mp4 --preset wan-1.3b-t2v", "--seconds"),
        ("render in.mp4 x.mp4 --preset wan-1.3b-t2v", "words alone"),
        ("render --out x.mp4 --seconds 2", "needs a film"),
        ("render in.mp4 x.mp4 --seconds 2", "needs a film"),
        ("render in.mp4", "--out"),
        ("render --out x.mp4 --seconds -1 --preset wan-1.3b-t2v", "above 0"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_sentence(line, said, capsys):
    assert main(line.split()) != 0

    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.process
@pytest.mark.skipif(not TRAINED or sys.platform == "win32", reason="needs the embedded model's weights, and signals")
def test_a_run_without_an_input_paces_itself_and_shows_the_engines_pictures(words):
    run = Running(preset=words, source="", program="bridge.cli.commands").watch()
    try:
        status = run.state("streaming")
        assert status["input"] == ""
        before = run.status()["applied"]["frame"]
        rate = until(lambda: (s := run.status())["fps_out"] > 8 and s["fps_out"])
        assert rate <= 24, "20 a second is what the preset asks for"
        run.say("/prompt", "neon")
        until(lambda: run.status()["applied"]["frame"] > before)
        run.end()
        assert not run.left_over()
    finally:
        run.close()
