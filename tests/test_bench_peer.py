"""The comparison with the reference runs, or says why it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.peer import missing

ROOT = Path(__file__).parents[1]


def bench(*options):
    command = [sys.executable, "-m", "tests.bench.bench_peer", "--json", "--case", "least-64-rows2-codec-f32", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.process
@pytest.mark.parametrize("chunks", ["0", "-3"])
def test_to_compare_nothing_is_refused_in_a_sentence(chunks):
    done = bench("--chunks", chunks)

    assert done.returncode == 2
    assert f"{chunks} leave nothing to compare" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.skipif(not missing(), reason="the reference is installed")
def test_without_the_reference_it_is_skipped_with_a_sentence_and_nothing_is_installed():
    done = bench()

    assert done.returncode == 3
    assert done.stdout == ""
    assert "skipped" in done.stderr and "pip install --no-deps streamdiffusionv2==0.1.1" in done.stderr


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_with_the_reference_both_streams_agree_and_the_line_says_how_fast_each_was():
    done = bench("--chunks", "2")

    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["agree"] is True and line["difference"] < 1e-3
    assert line["ratio"] > 0 and line["ours_ms"] > 0 and line["theirs_ms"] > 0
    assert line["case"] == "least-64-rows2-codec-f32"
    assert set(line["share"]) == {"encode", "denoise", "decode"} and sum(line["share"].values()) == pytest.approx(
        1, abs=0.01
    )
