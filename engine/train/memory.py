"""Self-attention over a whole training clip at once, seeing exactly what the rolling window would have shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.preset import WindowSpec


@dataclass(frozen=True)
class ClipMemory:
    """A `Memory` that keeps nothing: every key of the clip is at hand, and `mask` hides what the window would not hold.

    positions: [1, T].   mask: [T*n, T*n] bool, True where attention may look.
    """

    positions: Tensor
    mask: Tensor | None

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        return turn(key).transpose(1, 2), value.transpose(1, 2)

    def to(self, device: torch.device) -> ClipMemory:
        return ClipMemory(self.positions.to(device), None if self.mask is None else self.mask.to(device))


def window_mask(frames: int, spec: WindowSpec) -> Tensor:
    """[frames, frames] bool: frame f sees the newest `slots` - `sinks` frames, itself among them, and the sinks."""
    now, then = torch.arange(frames)[:, None], torch.arange(frames)[None]
    return (then <= now) & ((then < spec.sinks) | (now - then < spec.slots - spec.sinks))


def one_lane(positions: Sequence[int], tokens: int, spec: WindowSpec) -> ClipMemory:
    """Every frame sees its past as it was at its own step: live, rows = steps.

    positions: where in the stream each frame of the clip seems to lie; a gap after the sinks stands for time gone by.
    """
    mask = window_mask(len(positions), spec)
    return ClipMemory(torch.tensor(positions)[None], _per_token(mask, tokens))


def two_lanes(positions: Sequence[int], tokens: int, spec: WindowSpec) -> ClipMemory:
    """The clip twice over: an early step, whose frames see themselves and the past at the last step; then that step.

    Live, with rows = 1, this is what a slot holds: the last step's keys, until an early step overwrites its own.
    """
    window = window_mask(len(positions), spec)
    itself = torch.eye(len(positions), dtype=torch.bool)
    early = torch.cat([itself, window & ~itself], dim=1)
    last = torch.cat([torch.zeros_like(window), window], dim=1)
    mask = torch.cat([early, last])
    return ClipMemory(torch.tensor(positions).repeat(2)[None], _per_token(mask, tokens))


def _per_token(mask: Tensor, tokens: int) -> Tensor:
    return mask.repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
