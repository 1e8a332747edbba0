"""Self-attention over a whole training clip at once, seeing exactly what the rolling window would have shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipMemory:
    """A `Memory` that keeps nothing: every key of the clip is at hand, and `mask` hides what the window would not hold.

    query_positions, key_positions: [1, T].   mask: [T*n, T*n] bool, True where attention may look.
    """

    query_positions: Tensor
    mask: Tensor | None

    @property
    def key_positions(self) -> Tensor:
        return self.query_positions

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return key, value


def window_mask(frames: int, slots: int, sinks: int) -> Tensor:
    """[frames, frames] bool: frame f sees itself, the newest `slots` - `sinks` frames and the first `sinks`, never the future."""
    now, then = torch.arange(frames)[:, None], torch.arange(frames)[None]
    return (then <= now) & ((then < sinks) | (now - then < slots - sinks))


def one_lane(frames: int, tokens: int, slots: int, sinks: int) -> ClipMemory:
    """Every frame sees its past as it was at its own step: live, rows = steps."""
    mask = window_mask(frames, slots, sinks)
    return ClipMemory(torch.arange(frames)[None], _per_token(mask, tokens))


def two_lanes(frames: int, tokens: int, slots: int, sinks: int) -> ClipMemory:
    """The clip twice over: an early step whose frames see themselves and the past at the last step, then that last step.

    Live, with rows = 1, this is what a slot holds: the last step's keys, until an early step overwrites its own.
    """
    window = window_mask(frames, slots, sinks)
    itself = torch.eye(frames, dtype=torch.bool)
    early = torch.cat([itself, window & ~itself], dim=1)
    last = torch.cat([torch.zeros_like(window), window], dim=1)
    positions = torch.arange(frames).repeat(2)[None]
    return ClipMemory(positions, _per_token(torch.cat([early, last]), tokens))


def _per_token(mask: Tensor, tokens: int) -> Tensor:
    return mask.repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
