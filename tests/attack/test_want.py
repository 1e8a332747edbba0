"""What a machine runs out of: descriptors, room on a disk, somebody who reads the output."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from engine.clock import monotonic
from tests.bridge.running import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
LIMIT = 256  # descriptors in a terminal of macOS


@contextmanager
def silence(port, count):
    """So many connections that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(count)]


def test_connections_that_say_nothing_take_every_descriptor(attack, figures):
    """Pictures go on, an engine that is killed comes back, and the log stays a log."""
    with attack(before=("prlimit", f"--nofile={LIMIT}")) as show, ExitStack() as stack:
        worker = show.children("bridge.worker.main")[0]
        stack.enter_context(silence(show.web, LIMIT))
        time.sleep(3)
        began = monotonic()
        worker.kill()
        until(
            lambda: [one for one in show.children("bridge.worker.main") if one.pid != worker.pid],
            60,
            "not started again",
        )
        figures["engine_started_again_s"] = round(monotonic() - began, 2)
        stack.close()
        until(lambda: show.streaming(), 60)
        figures["log_bytes"] = show.log.stat().st_size
        assert figures["log_bytes"] < 100_000


def test_silent_connections_are_closed(attack, figures):
    with attack() as show, silence(show.web, 20) as peers:
        began = monotonic()
        assert all(peer.recv(100) == b"" for peer in peers)
        figures["closed_after_s"] = round(monotonic() - began, 1)


def test_a_reader_of_the_output_leaves(make_show, figures):
    reader, writer = os.pipe()
    show = make_show(output=writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    show.streaming()
    show.ask("controls/prompt", {"value": "neon 雪"}, "PUT")
    time.sleep(6)

    show.streaming()

    figures["end_s"] = round(show.end(), 2)
    assert show.left() == []


def test_nobody_reads_the_output(make_show, figures):
    """A terminal that was stopped by Ctrl-S, or `less`: the show starts, the desk answers, and Ctrl-C ends it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1024))
    os.set_blocking(writer, True)
    show = make_show(output=writer)
    os.close(writer)
    show.streaming()
    show.ask("controls/prompt", {"value": "ink"}, "PUT")
    time.sleep(6)

    show.streaming()

    figures["end_s"] = round(show.end(), 2)
    os.close(reader)


def test_the_output_goes_to_a_full_disk(make_show, figures):
    with open("/dev/full", "wb") as full:
        show = make_show(output=full)
    show.streaming()
    show.ask("controls/prompt", {"value": "neon 雪"}, "PUT")
    time.sleep(6)

    show.streaming()

    figures["end_s"] = round(show.end(), 2)


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 600 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder]).returncode:
        pytest.skip("mounts a small disk, which needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_the_disk_is_full_while_a_recording_runs(attack, figures, small_disk):
    with attack("--out", f"recorder:{small_disk / 'show.mp4'}", "--size", "320x192") as show:
        said = until(lambda: next((one["error"] for one in show.status["outputs"] if one["error"]), ""), 120)
        figures["said"] = said
        assert "make room" in said
        shutil.copy(next(small_disk.glob("show.mp4*")), show.folder / "saved.mp4")
    assert (show.folder / "saved.mp4").stat().st_size > 100_000
