"""
Every error the bridge raises on purpose, beside those of the engine.

* BridgeError
  - RingError      a ring that is missing, foreign, or already has an owner
  - AdapterFailed  a source or a sink that could not open what it was given
"""

from __future__ import annotations


class BridgeError(Exception):
    """Something a person can act on: `str(error)` says what, `error.hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class RingError(BridgeError):
    """A ring is missing, is not one, speaks another version, or belongs to another running program."""


class AdapterFailed(BridgeError):
    """A source or a sink could not open its file, camera or device."""
