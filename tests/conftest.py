"""What holds for every test."""

import pytest

from engine.threads import wait_politely
from tests.extras import need

wait_politely()  # tests share the machine with the processes they start


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("extra"):
        need(*mark.args)
