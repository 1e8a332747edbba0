"""How computing shares a machine with a live show. Settled before torch is imported, hence no torch here."""

from __future__ import annotations

import os


def give_way() -> None:
    """Let the rest of the machine go first: a late picture is held, but a host that stutters is seen by everybody."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)


def wait_politely() -> None:
    """Let OpenMP's threads sleep, not spin, at barriers. Call before torch is first imported; a user's own wish wins.

    On a machine that also runs OBS or a game, a spinning thread gets preempted and the others spin for a whole time
    slice: with both cores of a small machine busy otherwise, the embedded model fell from 30 frames a second to 2.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
