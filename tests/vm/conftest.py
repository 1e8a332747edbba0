"""The machine of these tests, which run only when they are asked for, by `pytest -m vm`."""

import pytest


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """A small virtual machine with a real v4l2loopback, ready to be started any number of times."""
    from tests.vm.machine import Machine

    return Machine(tmp_path_factory.mktemp("vm"))
