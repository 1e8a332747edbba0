"""What is computed beside a stream leaves it the machine."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.threads import yield_to_stream


def test_a_thread_beside_the_stream_takes_half_of_the_cores_and_the_stream_keeps_its_own():
    """In a process of its own: how many threads torch takes is said for the whole of one."""
    code = """
import torch
from concurrent.futures import ThreadPoolExecutor
from engine.threads import yield_to_stream
torch.set_num_threads(4)
torch.ones(600, 600) @ torch.ones(600, 600)  # the stream has begun
with ThreadPoolExecutor(1, initializer=yield_to_stream) as aside:
    print(aside.submit(torch.get_num_threads).result(), torch.get_num_threads())
"""
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert seen == ["2", "4"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no priority of a single thread")
def test_threads_that_compute_beside_the_stream_go_last_and_no_others():
    def work():
        torch.ones(600, 600) @ torch.ones(600, 600)
        return niceness(threading.get_native_id())

    before = niceness(threading.get_native_id())
    with ThreadPoolExecutor(1, initializer=yield_to_stream) as aside:
        assert aside.submit(work).result() >= 15

    assert niceness(threading.get_native_id()) == before


def niceness(thread):
    return os.getpriority(os.PRIO_PROCESS, thread)
