"""Training needs its extra from the first import on: without it, none of these files is opened."""

import pytest

from tests.extras import need


class Training(pytest.Module):
    def collect(self):
        need("train")
        return super().collect()


def pytest_pycollect_makemodule(module_path, parent):
    return Training.from_parent(parent, path=module_path)
