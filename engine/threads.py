"""How computing shares a machine with a live show. Mostly settled before torch is imported, hence none at the top."""

from __future__ import annotations

import os
import sys
import threading

BACKGROUND_NICENESS = 15  # how nice what runs beside the stream is, in Linux's numbers, where the stream itself has 5


def lower_priority() -> None:
    """Let the rest of the machine go first: a late picture is held, but a host that stutters is seen by everybody."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)


def passive_openmp() -> None:
    """Let OpenMP's threads sleep, not spin, at barriers. Call before torch is first imported; a user's own wish wins.

    On a machine that also runs OBS or a game, a spinning thread gets preempted and the others spin for a whole time
    slice: with both cores of a small machine busy otherwise, the embedded model fell from 30 frames a second to 2.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def yield_to_stream() -> None:
    """Let what the calling thread computes, a prompt say, take half of the cores, and on Linux what the stream leaves.

    A text encoder with billions of parameters would otherwise hold all cores for seconds, and the thread that launches
    the GPU's work would wait for one. Call at the start of a thread: those that compute for it begin as nice as it is.
    The stream's own thread has to have computed something by then, else it would be given half of the cores too.
    """
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // 2))  # those that have computed keep theirs
    if sys.platform == "linux":  # elsewhere this would be about the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(BACKGROUND_NICENESS, os.nice(0)))
