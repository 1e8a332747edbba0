import pytest

from bridge.adapters import timeline
from tests.bridge.adapters.ndi_here import ndi_here

__all__ = ["ndi_here"]


@pytest.fixture
def on_time(monkeypatch):
    """No film falls behind: on a busy machine one does, and then goes on from now, as it should."""
    monkeypatch.setattr(timeline, "MAX_LAG", 3600.0)
