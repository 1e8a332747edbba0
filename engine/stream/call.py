"""The integers of a planned call as tensors, made once per chunk, so that no launch waits for a copy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.stream.work import Batch


@dataclass(frozen=True, slots=True)
class Call:
    """What a `Batch` says, on the device. int64; T latent frames, S sinks.

    slots, positions: [rows, T]. For calls of one shape always the same tensors, as a CUDA graph needs.
    timesteps:        [rows, passes].   visible: [rows].   drift: [rows, S].   rows: [rows, 1], their numbers.
    """

    slots: Tensor
    positions: Tensor
    timesteps: Tensor
    visible: Tensor
    drift: Tensor
    rows: Tensor


class CallBuffers:
    """Makes a `Call` of a `Batch`: one table, one copy, from pinned memory where there is CUDA."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]] = {}  # by rows and latent frames

    def load(self, batch: Batch) -> Call:
        """Copy the batch's numbers to the device; on CUDA the copy is only begun."""
        shape = len(batch.rows), len(batch.rows[0].slots)
        if shape not in self._buffers:
            self._buffers[shape] = self._make_buffers(*shape)
        slots, positions, rows = self._buffers[shape]
        lines = [(*row.slots, *row.positions, *row.timesteps, row.visible, *row.drift) for row in batch.rows]
        widths = [shape[1], shape[1], batch.passes, 1, len(batch.rows[0].drift)]
        new_slots, new_positions, timesteps, visible, drift = torch.split(self._to_device(lines), widths, dim=1)
        slots.copy_(new_slots)
        positions.copy_(new_positions)
        return Call(slots, positions, timesteps, visible[:, 0], drift, rows)

    def _to_device(self, lines: list[tuple[int, ...]]) -> Tensor:
        aside = self._device.type == "cuda"  # MPS might read the host's memory after it was freed: pytorch#189690
        return torch.tensor(lines, pin_memory=aside).to(self._device, non_blocking=aside)

    def _make_buffers(self, rows: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        slots, positions = torch.zeros(2, rows, frames, dtype=torch.int64, device=self._device)
        return slots, positions, torch.arange(rows, device=self._device)[:, None]
