import pytest

from bridge.children import blocking_child
from bridge.children.blocking_child import BlockingChild
from bridge.errors import AdapterFailed
from bridge.process.protocol import END_TIMEOUT
from bridge.rings.ring import RingWriter
from tests.bridge.child_processes import ring_name

pytestmark = pytest.mark.process


@pytest.fixture
def recorder(tmp_path):
    with RingWriter.create(ring_name(), 160, 96) as ring:
        yield "tests.bridge.slow_recorder", f"recorder:{tmp_path / 'show.mp4'}", "--ring", ring.name


def test_a_recording_is_finished_though_that_takes_longer_than_others_have_for_their_end(recorder, monkeypatch):
    monkeypatch.setenv("CLOSES_IN", str(2 * END_TIMEOUT))
    with BlockingChild(*recorder) as child:
        assert child.opened(60.0) == "show.mp4"
        child.end()
        child.end()

        assert child._process.returncode == 0


def test_a_recording_that_hangs_while_it_is_finished_is_said_with_what_is_left(recorder, monkeypatch, tmp_path):
    monkeypatch.setenv("CLOSES_IN", "600")
    monkeypatch.setattr(blocking_child, "FINISH_TIMEOUT", 2.0)
    with BlockingChild(*recorder) as child:
        child.opened(60.0)
        with pytest.raises(AdapterFailed, match="no progress for 2 s") as error:
            child.end()

    assert error.value.hint == f"what was recorded until then is in {tmp_path / 'show.mp4.part'}"
