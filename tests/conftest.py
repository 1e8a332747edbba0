"""What holds for every test: how many run side by side, which ones have to be asked for, and what they may need."""

import os

import pytest

from engine.threads import passive_openmp
from tests.extras import need

ASKED_FOR = ("vm", "endurance", "attack")  # marks of tests that run only where -m names them
MOST_WORKERS = 4  # more wait for the tests that drive an OBS, which come one after the other

passive_openmp()  # tests share the machine with the processes they start


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """A process for each core; for files that are named one alone, which is done before a second has imported torch."""
    few = all(".py" in name for name in config.args)
    return 0 if few else min(os.cpu_count() or 1, MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker takes a whole file at a time, since its tests share fixtures; and all tests that start an OBS."""
    from xdist.scheduler import LoadFileScheduling

    class OneObs(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "obs" if nodeid.startswith("tests/obs/") else super()._split_scope(nodeid)

    return OneObs(config, log)


def pytest_collection_modifyitems(config, items):
    unasked = [mark for mark in ASKED_FOR if mark not in config.getoption("-m")]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("extra"):
        need(*mark.args)
