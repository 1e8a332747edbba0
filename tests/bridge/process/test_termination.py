import signal
import sys

import pytest

from bridge.process.termination import deferred_termination, graceful_termination

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process, it does not ask")


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", None)])
def test_a_program_that_is_told_to_end_leaves_what_it_is_in(number):
    left = []

    with pytest.raises(SystemExit) as end, graceful_termination():
        try:
            signal.raise_signal(number)
        finally:
            left.append("tidy")

    assert left == ["tidy"]
    assert end.value.code == 128 + number
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with graceful_termination():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_end_that_is_asked_for_during_an_import_comes_after_it():
    done = []

    with pytest.raises(KeyboardInterrupt), deferred_termination():
        signal.raise_signal(signal.SIGINT)
        done.append("import")

    assert done == ["import"]
