"""
What goes wrong in the bridge, with a next step. One family with the engine's errors: a surface, or the command
line, shows any `EngineError` the same way, wherever it came from.
"""

from __future__ import annotations

from engine.errors import EngineError


class BridgeError(EngineError):
    """Something in the bridge's world that a person can act on: a port, a device, a ring, a file."""
