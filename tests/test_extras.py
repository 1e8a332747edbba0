"""The tests can be run without the extras: none of them, and nothing they import, takes one as given."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.extras import EXTRAS, packages

ROOT = Path(__file__).parents[1]
WITHOUT = """
import sys, pytest
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # a name that stands for None cannot be imported
sys.exit(pytest.main(sys.argv[2:]))
"""


def run_without_extras(*options):
    """Pytest's exit code and what it said, in a Python to which every package of every extra is missing."""
    missing = sorted({package for extra in EXTRAS for package in packages(extra)})
    command = [sys.executable, "-c", WITHOUT, ",".join(missing), "-n0", "-q", "-p", "no:cacheprovider", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    return ended.returncode, ended.stdout + ended.stderr


def test_without_any_extra_every_test_is_collected_and_one_that_needs_an_extra_says_how_to_install_it():
    code, said = run_without_extras("-m", "extra")

    assert code == 0, said
    assert " passed" not in said
    for extra in ("ndi", "obs", "train", "virtualcam", "wan"):
        assert f"pip install 'latentcast[{extra}]'" in said
    skipped = [line for line in said.splitlines() if line.startswith("SKIPPED")]
    assert all("pip install 'latentcast[" in line for line in skipped), said


@pytest.mark.parametrize("extra", EXTRAS)
def test_tests_know_what_every_extra_brings(extra):
    assert list(packages(extra))
