import sys

import pytest


@pytest.fixture(autouse=True)
def recursion_limit():
    """Torch's compiler raises it for good, and other tests of the same process look at what happens there."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)
