"""
Fixtures of a real OBS. Every test in this folder bears the mark `obs`, and is skipped where OBS is not installed. All
keep to one worker: they share OBSes, a screen, and a plugin that is built once.
"""

from contextlib import ExitStack

import pytest

from tests.obs.lab import Display, Lab, missing
from tests.obs.plugin import begin_test, build, build_watcher, cannot_build


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/obs/" in item.path.as_posix():
            item.add_marker(pytest.mark.obs)
            item.add_marker(pytest.mark.process)


@pytest.fixture(autouse=True)
def own_names():
    begin_test()


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


@pytest.fixture(scope="module")
def shared(display):
    """The OBS that the tests of a file share, since a start takes time. A file may have a `shared` of its own."""
    with Lab(display) as lab:
        yield lab


@pytest.fixture
def obs(shared):
    """A running OBS with one empty scene. What a test adds to it is gone before the next one."""
    if not shared.alive:
        shared.start()
    yield shared
    assert shared.alive, "OBS has ended"
    shared.reset()


@pytest.fixture(scope="session")
def library(display, tmp_path_factory):
    """The plugin of plugins/obs, built as a user builds it."""
    if reason := cannot_build():
        pytest.skip(reason)
    return build(tmp_path_factory.mktemp("plugin")) / "latentcast.so"


@pytest.fixture(scope="session")
def watcher(library, tmp_path_factory):
    """What is preloaded into an OBS to watch our plugin in it."""
    return build_watcher(tmp_path_factory.mktemp("watcher"))
