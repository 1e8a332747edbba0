"""Many processes are one: torchrun with two, over gloo, on real weights in files and real video files."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from engine.preset import load_preset
from engine.session import open_session
from tests.engine.small import film, play
from tests.engine.train.distill.parts import SMALL, write_film, write_preset

SETTINGS = """
frames = 3
batch = 2
updates = 4
warm_up = 2
matching = 0.2
times = [500, 200]
critic_updates = 2
rate = 1e-3
critic_rate = 1e-3
check_every = 2
side = 0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A preset with weights, films, prompts and settings."""
    folder = tmp_path_factory.mktemp("distill")
    write_preset(folder, SMALL)
    (folder / "films").mkdir()
    for number in (1, 2):
        write_film(folder / "films" / f"{number}.mp4", frames=16 + 8 * number)
    (folder / "films" / "2.txt").write_text("a fish in gold\n")
    (folder / "prompts.txt").write_text("neon\n\nwatercolor\n")
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


def distil(place, run, launcher=(), steps=2, settings="settings.toml"):
    """Run the command; what it said."""
    module = (*launcher, "-m", "engine.train", "distill", "--preset", place / "small.toml", "--steps", steps)
    data = ("--clips", place / "films", "--prompts", place / "prompts.txt", "--settings", place / settings)
    command = [sys.executable, *module, *data, "--folder", place / run, "--threads", "1", "--device", "cpu"]
    for _ in range(3):
        done = subprocess.run(
            [str(part) for part in command], env={**os.environ, **QUIET}, capture_output=True, text=True
        )
        if not (launcher and done.returncode and MEETING.search(done.stderr)):
            break  # only processes that never met, as on a machine too busy for torchrun's deadlines, try again
    return done.returncode, done.stdout + done.stderr


CLUSTER = """
frames = 3
batch = 2
updates = 2
warm_up = 0
regression = 0.5
matching = 1.0
bf16 = true
recompute = true
causal = false
guidance = 3.0
negative = "blurred"
side = 0
"""
TWO = (
    *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    *("--local-addr", "127.0.0.1"),  # else they look for one another by the machine's name
    *("--rdzv-conf", "read_timeout=600,join_timeout=600,close_timeout=600"),
)
QUIET = {"OMP_NUM_THREADS": "1", **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform.startswith("linux") else {})}
MEETING = re.compile(r"Rendezvous\w*Error|DistStoreError|DistNetworkError|connectFullMesh|init_process_group")


@pytest.fixture(scope="module")
def runs(place):
    """The same distillation by one process and by two."""
    for name, launcher in (("one", ()), ("two", TWO)):
        code, said = distil(place, name, launcher)
        assert code == 0, said
    return place


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.process
@pytest.mark.parametrize("notes", ["distill.jsonl", "apart.jsonl"])
def test_two_processes_see_the_same_losses_as_one(runs, notes):
    one, two = lines(runs / "one" / notes), lines(runs / "two" / notes)

    assert len(one) == len(two) > 0
    for mine, theirs in zip(one, two, strict=True):
        for name in mine.keys() - {"seconds"}:
            assert theirs[name] == pytest.approx(mine[name], rel=1e-3, abs=1e-6), name


@pytest.mark.process
def test_two_processes_make_the_same_student_as_one(runs):
    files = "one/student.safetensors", "two/student.safetensors", "dit.safetensors"
    one, two, start = (load_file(runs / file) for file in files)

    assert one.keys() == two.keys() == start.keys()
    moved = torch.cat([(one[key] - start[key]).flatten() for key in start])
    apart = torch.cat([(one[key] - two[key]).flatten() for key in start])
    assert moved.norm() > 0 and apart.norm() < 0.05 * moved.norm()


@pytest.mark.process
def test_bfloat16_shards_computed_twice_under_guidance_teach_every_weight_too(place):
    (place / "cluster.toml").write_text(CLUSTER)

    code, said = distil(place, "cluster", TWO, settings="cluster.toml")

    assert code == 0, said
    start, student = (load_file(place / file) for file in ("dit.safetensors", "cluster/student.safetensors"))
    assert all((student[key] != weight).any() for key, weight in start.items())


@pytest.mark.process
def test_shards_are_read_back_and_a_finished_run_gives_its_student_again(runs):
    before = load_file(runs / "two" / "student.safetensors")
    (runs / "two" / "student.safetensors").unlink()

    code, said = distil(runs, "two", TWO)

    assert code == 0, said
    again = load_file(runs / "two" / "student.safetensors")
    assert all(torch.equal(again[key], before[key]) for key in before)


@pytest.mark.process
def test_another_number_of_processes_is_refused_in_a_sentence(runs):
    code, said = distil(runs, "two")

    assert code == 2
    assert re.search(r"was written by 2 processes; go on with 2, or choose another --run", said)
    assert "Traceback" not in said


@pytest.mark.process
def test_a_student_is_a_preset_that_a_session_plays(runs):
    preset = load_preset(str(runs / "one" / "student.toml"))

    pictures = play(open_session(preset, "cpu"), film(12, (preset.width, preset.height)))

    assert preset.params.steps == 2 and len(pictures) == 12
    original = load_preset(str(runs / "small.toml"))
    same = {"name": preset.name, "title": preset.title, "dit": preset.dit, "controls": preset.controls}
    assert replace(original, **same) == preset
