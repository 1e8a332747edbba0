"""Opt-in: these tests run only when they are asked for, by `pytest -m vm`."""

import pytest


def pytest_collection_modifyitems(config, items):
    if "vm" in config.getoption("-m"):
        return
    left_out = [item for item in items if item.get_closest_marker("vm")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """A small virtual machine with a real v4l2loopback, ready to be started any number of times."""
    from tests.vm.machine import Machine

    return Machine(tmp_path_factory.mktemp("vm"))
