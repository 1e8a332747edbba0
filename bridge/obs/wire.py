"""
What our adapters and a stock OBS agree on: two loopback ports, and raw pictures in NUT, which says their size.

OBS shows a picture when its time has come by the clock of the file. Ours claims to run faster than it does: every
picture is late on arrival, and a late one is shown at once. Claiming less than the true rate would fill the socket and
cost half a second.
"""

from __future__ import annotations

from bridge.errors import BridgeError

HOST = "127.0.0.1"
PICTURE_PORT = 9513  # TCP; OBS's Media source reads our pictures here
PROGRAM_PORT = 9514  # TCP; OBS's Custom Output sends us its program here
CONTAINER = "nut"
CLAIMED_FPS = 120  # the least that is claimed


def claimed_rate(fps: float) -> int:
    """Pictures a second that the stream claims to have; always well above what it has."""
    return max(CLAIMED_FPS, round(4 * fps))


def port_of(where: str, default: int, nothing: str = "") -> int:
    """The port that `obs:PORT` names; `nothing`: what no port means, if it is not `default`. Raises BridgeError."""
    if not where:
        return default
    if not where.isdecimal() or not 0 < int(where) < 65536:
        raise BridgeError(f"{where!r:.80} is no TCP port", f"give 1 to 65535, or nothing for {nothing or default}")
    return int(where)
