"""The key/value cache of self-attention: fixed shapes, written to the slots that a `Batch` names, read in any order.

Keys are rotated once, when they are written, by their position in the stream, as in the reference. A sink may have to
move along with the stream (engine.stream.sinks). Then its keys are rotated further, from a copy of what was written,
once before a chunk's passes. Attention reads the window as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.rope import axis_sizes, rotate, rotation
from engine.preset import DitSpec, WindowSpec
from engine.stream.call import Call, CallBuffers
from engine.stream.filling import Filling
from engine.stream.work import Batch, Row

GENERATIONS = count()  # unique in this process, across all caches


class KVCache:
    """Keys and values of `slots` latent frames for each layer and row. Implements `Memory`.

    layers:       which of the transformer's blocks it serves; all unless given.
    keys, values: per layer [most rows so far, N, slots, n, D], so that attention reads each head from one piece.
    generation:   changes when a tensor is reallocated. A CUDA graph is valid while it stays the same; `reset()` and
                  using fewer rows keep it.
    """

    def __init__(
        self,
        window: WindowSpec,
        dit: DitSpec,
        tokens: int,
        device: torch.device,
        dtype: torch.dtype,
        layers: range | None = None,
    ) -> None:
        self._spec, self._layers = window, range(dit.layers) if layers is None else layers
        self._head = dit.dim // dit.heads
        self._timed = axis_sizes(self._head)[0]  # channels of a head that rotate with time; they come first

        def zeros(*shape: int, dtype: torch.dtype = dtype) -> list[Tensor]:
            return [torch.zeros(1, *shape, device=device, dtype=dtype) for _ in self._layers]

        self.keys, self.values = (zeros(dit.heads, window.slots, tokens, self._head) for _ in range(2))
        self._sinks = zeros(
            dit.heads, window.sinks, tokens, self._timed
        )  # the sinks' keys as written, only the channels that rotate with time
        self._means = zeros(window.slots, 2, dit.dim, dtype=torch.float32)  # of keys and of values
        self._buffers, self._filling = CallBuffers(device), Filling(window.slots, tokens)
        self.generation = next(GENERATIONS)
        self.reset()

    def reset(self) -> None:
        """Back to the initial state, with one row. Allocates nothing."""
        for store in self._stores:
            for part in store:
                part.zero_()
        self._used = 1
        self._drifts = [(0,) * self._spec.sinks]  # the drift that each row's sinks are rotated by now
        self._written: list[tuple[int, int]] = []  # rows and sinks that the last call wrote

    @property
    def _stores(self) -> tuple[list[Tensor], ...]:
        return self.keys, self.values, self._sinks, self._means

    def begin(self, batch: Batch) -> Call:
        """Prepare a call: its rows, the slots that they write, and the apparent positions of sinks.

        Called once per chunk. Every pass over a chunk writes the same slots; the last pass stays.
        Returns the batch's integers as tensors on the device.
        """
        rows, call = batch.rows, self._buffers.load(batch)
        self.rows(len(rows))
        self._turn_sinks([row.drift for row in rows], call.drift)
        self._filling.begin([row.visible for row in rows], call.visible)
        self._call, sinks = call, range(self._spec.sinks)
        self._written = [(row, slot) for row, each in enumerate(rows) for slot in each.slots if slot in sinks]
        return call

    def fits(self, row: Row) -> bool:
        """Whether a row was planned for a window like this one."""
        slots = range(self._spec.slots)
        return len(row.drift) == self._spec.sinks and row.visible - 1 in slots and all(at in slots for at in row.slots)

    @property
    def device(self) -> torch.device:
        return self.keys[0].device

    @property
    def positions(self) -> Tensor:
        return self._call.positions

    @property
    def mask(self) -> Tensor | None:
        return self._filling.mask

    @property
    def full(self) -> bool:
        """Whether every row sees the whole window: from then on the shapes of a step do not change."""
        return self._filling.full

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Write rotated keys, and values [rows, T*n, N, D]; return all that were written, [rows, N, filled*n, D]."""
        at, rows, slots = layer - self._layers.start, self._call.rows, self._call.slots
        if self._spec.refresh > -1:
            means = [self._by_frame(part).mean(2, dtype=torch.float32).flatten(2) for part in (key, value)]
            self._means[at][rows, slots] = torch.stack(means, dim=2)
        for store, new in ((self.keys, turn(key)), (self.values, value)):
            store[at][rows, :, slots] = self._by_frame(new).transpose(2, 3)
        length = self._filling.length
        keys, values = (part[at][: self._used, :, :length].flatten(2, 3) for part in (self.keys, self.values))
        return keys, values

    def similarity(self) -> Tensor:
        """How alike each sink and the newest frame are, [sinks] in -1..1: cosine of mean keys and values, averaged.

        Source: StreamDiffusionV2 c5a0f20, models/wan/causal_model.py, there per layer and row; here one answer for all.
        """
        means = torch.stack([part[: self._used] for part in self._means])  # [layers, rows, slots, 2, C]
        newest = means[:, self._call.rows, self._call.slots[:, -1:]]
        return F.cosine_similarity(means[:, :, : self._spec.sinks], newest, dim=-1).mean(dim=(0, 1, 3))

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        kept, each = self.row_bytes
        return kept * each

    @property
    def row_bytes(self) -> tuple[int, int]:
        """How many rows are allocated, and the bytes of one."""
        parts = [part for store in self._stores for part in store]
        return len(parts[0]), sum(part[0].numel() * part.itemsize for part in parts)

    def rows(self, wanted: int) -> None:
        """Use the first `wanted` rows; a row that is added starts as a copy of the last."""
        self._keep_sinks()
        used, self._used = self._used, wanted
        if wanted > len(self.keys[0]):
            self._widen(wanted)
        self._drifts = self._drifts[:wanted] + self._drifts[-1:] * (wanted - used)
        if wanted > used:
            for store in self._stores:
                for part in store:
                    part[used:wanted] = part[used - 1]

    def _keep_sinks(self) -> None:
        """Copy the sinks that the last call wrote, before they are rotated further."""
        for row, sink in self._written:
            for kept, keys in zip(self._sinks, self.keys, strict=True):
                kept[row, :, sink] = keys[row, :, sink, :, : self._timed]
            drift = list(self._drifts[row])
            drift[sink] = 0
            self._drifts[row] = tuple(drift)
        self._written = []

    def _turn_sinks(self, drifts: list[tuple[int, ...]], on_device: Tensor) -> None:
        if drifts == self._drifts:
            return
        self._drifts = drifts
        turns = self._sink_turns(on_device)
        for kept, keys in zip(self._sinks, self.keys, strict=True):
            keys[: self._used, :, : self._spec.sinks, :, : self._timed] = rotate(kept[: self._used], turns)

    def _sink_turns(self, drift: Tensor) -> Tensor:
        """Unit complex numbers [rows, 1, S, 1, time/2] for drifts [rows, S]."""
        return rotation(drift, (1, 1), self._head)[:, None, ..., : self._timed // 2]

    def _widen(self, wanted: int) -> None:
        for store in self._stores:
            for layer, part in enumerate(store):  # one layer at a time: memory never holds all old and all new tensors
                wide = part.new_empty(wanted, *part.shape[1:])
                wide[: len(part)] = part
                store[layer] = wide
        self.generation = next(GENERATIONS)

    def _by_frame(self, part: Tensor) -> Tensor:
        """[rows, T*n, N, D] -> [rows, T, n, N, D]."""
        return part.view(*self._call.slots.shape, -1, *part.shape[2:])
