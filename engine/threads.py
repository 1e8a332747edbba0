"""How the compute threads wait. Settled before torch is imported, hence no torch here."""

from __future__ import annotations

import os


def wait_politely() -> None:
    """Let OpenMP's threads sleep, not spin, at barriers. Call before torch is first imported; a user's own wish wins.

    On a machine that also runs OBS or a game, a spinning thread gets preempted and the others spin for a whole time
    slice: with both cores of a small machine busy otherwise, the embedded model fell from 30 frames a second to 2.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
