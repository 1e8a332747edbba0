"""Process priority and threads, so that other programs stay smooth. Mostly set before torch is imported."""

from __future__ import annotations

import os
import sys
import threading

BACKGROUND_NICENESS = 15  # Linux niceness of work beside the stream; the stream itself has 5


def lower_priority() -> None:
    """Lower this process's priority: a late picture is only held longer, but everybody sees a host that stutters."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)


def passive_openmp() -> None:
    """Make OpenMP's threads sleep, not spin, at barriers. Call before torch is first imported; a user's setting wins.

    On a machine that also runs OBS or a game, a spinning thread gets preempted and the others spin for a whole time
    slice: with both cores of a small machine busy otherwise, the embedded model fell from 30 frames a second to 2.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def yield_to_stream() -> None:
    """Limit the calling thread, which encodes a prompt, say, to half of the cores, on Linux at a lower priority too.

    A text encoder with billions of parameters would otherwise hold all cores for seconds, and the thread that launches
    the GPU's work would wait for one. Call at the start of a thread: its worker threads inherit its niceness.
    The stream's own thread must have computed something before, else it would get half of the cores too.
    """
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // 2))  # threads that have computed keep their number
    if sys.platform == "linux":  # elsewhere it would change the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(BACKGROUND_NICENESS, os.nice(0)))
