"""All that is special about a window that is not full yet. Once every row sees the whole window there is no mask,
shapes no longer change, and a step may be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Filling:
    """How much of the window the rows of one call see.

    length: slots that count; those after it were never written.   full: whether every row sees the whole window.
    mask:   bool [rows, 1, 1, length * tokens], True where attention may look, while rows differ; else None.
    """

    def __init__(self, slots: int, tokens: int) -> None:
        self._slots, self._tokens = slots, tokens
        self.length, self.full = 0, False
        self.mask: Tensor | None = None

    def begin(self, visible: Sequence[int], on_device: Tensor) -> None:
        """visible: for each row, how many slots it sees; `on_device` has the same numbers, [rows]."""
        self.length, shortest = max(visible), min(visible)
        self.full = shortest == self._slots
        self.mask = None if shortest == self.length else self._hide_unwritten(on_device)

    def _hide_unwritten(self, visible: Tensor) -> Tensor:
        slots = torch.arange(self.length * self._tokens, device=visible.device) // self._tokens
        return (slots < visible[:, None])[:, None, None]
