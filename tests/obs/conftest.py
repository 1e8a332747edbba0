"""Fixtures of a real OBS. Every test in this folder bears the mark `obs`, and is skipped where OBS is not installed."""

from contextlib import ExitStack

import pytest

from tests.obs.lab import Display, Lab, missing
from tests.obs.plugin import build, cannot_build


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/obs/" in item.path.as_posix():
            item.add_marker(pytest.mark.obs)
            item.add_marker(pytest.mark.process)


@pytest.fixture(scope="session")
def display():
    """A screen for every OBS of these tests."""
    if reason := missing():
        pytest.skip(reason)
    screen = Display()
    yield screen
    screen.close()


@pytest.fixture
def make_obs(display):
    """Makes OBSes that are not started yet, `make_obs(size=..., fps=..., profile=...)`, and ends them all."""
    with ExitStack() as made:

        def make(**options):
            lab = Lab(display, **options)
            made.callback(lab.close)
            return lab

        yield make


@pytest.fixture
def obs(make_obs):
    """A running OBS with one empty scene."""
    lab = make_obs()
    lab.start()
    return lab


@pytest.fixture(scope="session")
def library(display, tmp_path_factory):
    """The plugin of plugins/obs, built as a user builds it."""
    if reason := cannot_build():
        pytest.skip(reason)
    return build(tmp_path_factory.mktemp("plugin")) / "latentcast.so"
