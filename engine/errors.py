"""
Every error the engine raises on purpose.

* EngineError
  - BadParam           a control value that no surface should have sent
  - BadPreset          a preset file that does not describe a runnable model
  - BadWeights         a weight file that is missing, truncated or made for another model
  - DeviceUnavailable  the asked-for device is not on this machine
"""

from __future__ import annotations


class EngineError(Exception):
    """Something the caller can act on: `str(error)` says what, `error.hint` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint

    @property
    def sentence(self) -> str:
        """What, and what to do, where there is room for one line."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class BadParam(EngineError):
    """A control was given a value outside its table entry."""


class BadPreset(EngineError):
    """A preset does not exist or does not describe a model this engine can build."""


class BadWeights(EngineError):
    """A weight file is missing, damaged, or belongs to another model."""


class DeviceUnavailable(EngineError):
    """The asked-for device is not on this machine."""
