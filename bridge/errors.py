"""
The errors of the bridge that belong to no one module; others derive from BridgeError where they are raised. One family
with the engine's: whoever shows errors to people catches EngineError, wherever it came from.

* BridgeError
  - RingError           a ring that is missing, foreign, or already has an owner
  - AdapterFailed       a source or a sink that could not open what it was given, as the bridge hears of it
  - AdapterUnavailable  the same, in the adapter's own process
"""

from __future__ import annotations

from engine.errors import EngineError


class BridgeError(EngineError):
    """Something in the bridge's world that a person can act on: a port, a device, a file."""


class RingError(BridgeError):
    """A ring is missing, is not one, speaks another version, or belongs to another running program."""


class AdapterFailed(BridgeError):
    """A source or a sink could not open its file, camera or device."""


class AdapterUnavailable(BridgeError):
    """This machine cannot run the adapter, or no longer. `error.hint` says what to install, start or plug in."""


def system_says(error: OSError) -> str:
    """What the system says of a port that cannot be had, without the address, which Python adds to it."""
    return (error.strerror or str(error)).partition(" (while")[0]
