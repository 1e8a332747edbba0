"""What self-attention remembers of the stream: fixed shapes, written where `Window` says, read in any order.

Keys are turned once, when they are written, by their place in the stream, as the reference turns them. A sink can slide
along with the stream: its distance stops growing at `sink_distance`, and what it has to be turned on from then is its
drift. So a stream has neither a jump nor an end. (The reference jumps every 50 latent frames online and runs out of
table at 1024 offline.)
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.preset import DitSpec, WindowSpec

PLACES = count()  # no two of any caches are ever alike


class KVCache:
    """Keys and values of `slots` latent frames for each layer and row. Implements `Memory`.

    keys, values: per layer [most rows so far, N, slots, n, D], so that attention reads each head from one piece.
    place:        equal as long as no tensor moved, so that a recorded step finds them: also through `reset`, and
                  through rows that go and come back.
    """

    def __init__(self, window: WindowSpec, dit: DitSpec, tokens: int, device: torch.device, dtype: torch.dtype) -> None:
        self._spec = window
        shape = (1, dit.heads, window.slots, tokens, dit.dim // dit.heads)
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(dit.layers)]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        means = 1, window.slots, 2, dit.dim  # of keys and of values
        self._means = [keys.new_zeros(means, dtype=torch.float32) for keys in self.keys]
        self._positions = torch.zeros(1, window.slots, dtype=torch.int64, device=device)
        cap = [window.sink_distance - slot for slot in range(window.sinks)]
        self._farthest = torch.tensor(cap, dtype=torch.int64, device=device)  # [sinks]: how far back each may seem
        self._calls: dict[tuple[int, int], tuple[Tensor, ...]] = {}  # what `begin` fills, by rows and latent frames
        self.place = next(PLACES)
        self.reset()

    def reset(self) -> None:
        """As new, with one row, and without taking any memory."""
        for part in (*self.keys, *self.values, *self._means, self._positions):
            part.zero_()
        self.mask: Tensor | None = None
        self._used, self._filled = 1, 0
        self._slots = self.positions = self._rows = self._positions[:0]  # [rows, T] of the call, and its row numbers

    def begin(self, slots: list[list[int]], positions: list[list[int]], filled: list[int]) -> None:
        """Say, for each row, which slots this call writes, at which positions, and how many slots count then.

        Called once per chunk. Passes over the same chunk write the same slots again; the last one stays.
        """
        shape = len(slots), len(slots[0])
        if shape not in self._calls:
            self._calls[shape] = self._make_call(*shape)
        self._slots, self.positions, self._rows = self._calls[shape]  # they stay where they are: a graph reads them
        aside = self._positions.is_cuda  # MPS reads the host's numbers when they may be gone: pytorch#189690
        self._slots.copy_(torch.tensor(slots), non_blocking=aside)
        self.positions.copy_(torch.tensor(positions), non_blocking=aside)
        self._positions[self._rows, self._slots] = self.positions
        self._filled = max(filled)
        self.mask = None if min(filled) == self._filled else self._hide_unwritten(filled)

    def _make_call(self, rows: int, frames: int) -> tuple[Tensor, ...]:
        """Places for slots and positions, [rows, frames] each, and the rows' numbers, [rows, 1]."""
        empty, numbers = self._positions.new_zeros(2, rows, frames), torch.arange(rows, device=self._positions.device)
        return *empty, numbers[:, None]

    @property
    def full(self) -> bool:
        """Whether every row sees a whole window: from then on a step has the shape that it keeps."""
        return self.mask is None and self._filled == self._spec.slots

    @property
    def drift(self) -> Tensor:
        """[rows, sinks that count]: no sink seems to lie farther behind the newest frame than `sink_distance`."""
        ages = self.positions[:, -1:] - self._positions[: self._used, : self._spec.sinks]
        return (ages - self._farthest).clamp(min=0)[:, : self._filled]

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Write keys, turned, and values [rows, T*n, N, D]; return all that count, [rows, N, filled*n, D]."""
        if self._spec.refresh > -1:
            means = [self._by_frame(part).mean(2, dtype=torch.float32).flatten(2) for part in (key, value)]
            self._means[layer][self._rows, self._slots] = torch.stack(means, dim=2)
        for store, new in ((self.keys, turn(key)), (self.values, value)):
            store[layer][self._rows, :, self._slots] = self._by_frame(new).transpose(2, 3)
        keys, values = (part[layer][: self._used, :, : self._filled].flatten(2, 3) for part in (self.keys, self.values))
        return keys, values

    def similarity(self) -> Tensor:
        """How alike each sink and the newest frame are, [sinks] in -1..1: cosine of mean keys and values, averaged.

        Source: StreamDiffusionV2 c5a0f20, models/wan/causal_model.py, there per layer and row; here one answer for all.
        """
        means = torch.stack([part[: self._used] for part in self._means])  # [layers, rows, slots, 2, C]
        newest = means[:, self._rows, self._slots[:, -1:]]
        return F.cosine_similarity(means[:, :, : self._spec.sinks], newest, dim=-1).mean(dim=(0, 1, 3))

    @property
    def row_bytes(self) -> tuple[int, int]:
        """How many rows there is room for, and what one takes."""
        stores = [store for stores in (self.keys, self.values, self._means) for store in stores]
        return len(self._positions), sum(store[0].numel() * store.itemsize for store in stores)

    def rows(self, wanted: int) -> None:
        """Use the first `wanted` rows; a row that is added starts as a copy of the last."""
        used, self._used = self._used, wanted
        if wanted > len(self._positions):
            self._widen(wanted)
        if wanted > used:
            for part in (*self.keys, *self.values, *self._means, self._positions):
                part[used:wanted] = part[used - 1]

    def _widen(self, wanted: int) -> None:
        for store in (self.keys, self.values, self._means):
            for layer, part in enumerate(store):  # one by one, so that old and new are never there as a whole
                store[layer] = self._wider(part, wanted)
        self._positions = self._wider(self._positions, wanted)
        self.place = next(PLACES)

    def _wider(self, part: Tensor, wanted: int) -> Tensor:
        wide = part.new_empty(wanted, *part.shape[1:])
        wide[: len(part)] = part
        return wide

    def _by_frame(self, part: Tensor) -> Tensor:
        """[rows, T*n, N, D] -> [rows, T, n, N, D]."""
        return part.view(*self._slots.shape, -1, *part.shape[2:])

    def _hide_unwritten(self, filled: list[int]) -> Tensor:
        """[rows, 1, 1, filled*n], False where a row has not written yet: only while a stream batch fills."""
        tokens = self.keys[0].shape[3]
        seen = torch.arange(self._filled * tokens, device=self._positions.device) // tokens
        return (seen < torch.tensor(filled, device=seen.device)[:, None])[:, None, None]
