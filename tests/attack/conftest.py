"""Opt-in: `pytest -m attack -n 0`. Each test attacks a real run; its figures are the last lines of pytest's output.

LATENTCAST_ATTACK=0.05 makes it a twentieth as long.
"""

import json
import os
from contextlib import contextmanager

import pytest

from tests.attack.show import Show, gaps, watching

SCALE = float(os.environ.get("LATENTCAST_ATTACK", "1"))
FIGURES = pytest.StashKey[list]()


def pytest_itemcollected(item):
    if "tests/attack/" in item.path.as_posix():
        item.add_marker(pytest.mark.attack)
        item.add_marker(pytest.mark.process)
        item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def scaled():
    """A number of times, or of seconds, as large as was asked for."""
    return lambda number: max(1, round(number * SCALE))


@pytest.fixture
def figures(request):
    """Figures of this attack, told when all is over."""
    found = {}
    yield found
    request.config.stash.setdefault(FIGURES, []).append({"attack": request.node.name, **found})


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(json.dumps(line))


@pytest.fixture
def make_show(tmp_path):
    """Starts runs that are gone afterwards, whatever happened."""
    made = []

    def make(*options, **more):
        made.append(Show(tmp_path, *options, **more))
        return made[-1]

    yield make
    for show in made:
        show.close()


@pytest.fixture
def attack(make_show, figures):
    """`with attack(...) as show`: a run that is watched while the block lasts, and streams and ends well after it."""

    @contextmanager
    def attacked(*options, **more):
        show = make_show(*options, **more)
        show.streaming()
        with watching(show.name) as seen:
            memory, descriptors = show.anonymous(), show.descriptors()
            yield show
            show.streaming()
            figures.update(memory_mib=[memory, show.anonymous()], descriptors=[descriptors, show.descriptors()])
        figures.update(gaps(seen), end_s=round(show.end(), 2))
        assert show.left() == []
        assert seen["torn"] == 0

    return attacked
