"""The key/value cache as it is trained through: nothing written before is ever changed, so a gradient can look back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.models.rope import rotate
from engine.preset import DitSpec, WindowSpec
from engine.stream.call import Call
from engine.stream.kvcache import KVCache
from engine.stream.work import Batch

Page = tuple[Tensor, Tensor]  # one latent frame's turned keys, and values, in one layer, [N, n, D] each


class Recall(KVCache):
    """A `KVCache` that keeps a page for each slot and replaces pages instead of writing into them.

    The window's decisions are the parent's and the numbers are the same; what is kept carries no gradient, so that a
    chunk learns from what it made of its past, not from how the past was made. A page is shared by every call that
    looked at it: T chunks cost T frames of memory, not T windows.
    """

    def __init__(self, window: WindowSpec, dit: DitSpec, tokens: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(window, dit, tokens, device, dtype)
        blank = torch.zeros(dit.heads, tokens, dit.dim // dit.heads, device=device, dtype=dtype)
        self.pages: list[list[list[Page]]] = [[[(blank, blank)] * window.slots] for _ in range(dit.layers)]
        self.keys, self.values, self._sinks = ([part[:, :0].clone() for part in store] for store in self._stores[:3])
        self.dtype = dtype
        self.calls = 0  # since the chunk began: passes over it

    def begin(self, batch: Batch) -> Call:
        self.slots, self.calls = [row.slots for row in batch.rows], 0
        return super().begin(batch)

    def rows(self, count: int) -> None:
        have = len(self.pages[0])
        super().rows(count)
        self.pages = [[list(layer[min(row, have - 1)]) for row in range(count)] for layer in self.pages]

    def _keep_sinks(self) -> None:
        """Nothing is written over, so nothing has to be kept."""

    def _turn_sinks(self, drifts: list[tuple[int, ...]], on_device: Tensor) -> None:
        """A `Look` turns them, in what it hands out."""
        self.turns = self._sink_turns(on_device)

    def keep(self, layer: int, turned: Tensor, values: Tensor, keys: Tensor) -> None:
        """Remember this call's keys, turned, and values of one layer; the plain keys are for `similarity`.

        [rows, T, N, n, D] each.
        """
        for row, slots in enumerate(self.slots):
            for frame, slot in enumerate(slots):
                self.pages[layer][row][slot] = turned[row, frame].detach(), values[row, frame].detach()
        if self._spec.refresh > -1:
            means = [part.detach().mean(3).flatten(2) for part in (keys, values)]
            self._means[layer] = self._means[layer].clone()
            self._means[layer][self._call.rows, self._call.slots] = torch.stack(means, dim=2).to(
                self._means[layer].dtype
            )

    def look(self) -> Look:
        """The memory for one call of the denoiser."""
        self.calls += 1
        return Look(self, self._filling.length)

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> Any:
        raise TypeError("each call looks back through a Look of its own")


class Look:
    """One call's `Memory`: the past as it was when the call began, also when a block is computed again much later."""

    def __init__(self, recall: Recall, filled: int) -> None:
        self._recall, self._slots = recall, recall.slots
        self._past = [[row[:filled] for row in layer] for layer in recall.pages]
        self._kept: set[int] = set()
        self.positions, self.mask = recall.positions.clone(), recall.mask
        self._turns = recall.turns

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """As `Memory`: this call's own part has a gradient, the past has none."""
        turned, plain, own = (self._by_frame(part) for part in (turn(key), key, value))
        if layer not in self._kept:  # a block that is computed again must not write again
            self._kept.add(layer)
            self._recall.keep(layer, turned, own, plain)
        return self._join(layer, 0, turned), self._join(layer, 1, own)

    def _by_frame(self, part: Tensor) -> Tensor:
        """[rows, T*n, N, D] -> [rows, T, N, n, D]."""
        frames = part.view(len(part), len(self._slots[0]), -1, *part.shape[2:])
        return frames.transpose(2, 3).to(self._recall.dtype)

    def _join(self, layer: int, kind: int, new: Tensor) -> Tensor:
        """[rows, N, filled*n, D] of the keys (kind 0) or the values (1)."""
        rows = []
        for row, slots in enumerate(self._slots):
            pages = [page[kind] for page in self._past[layer][row]]
            for sink in range(min(len(pages), self._turns.shape[2]) if kind == 0 else 0):
                pages[sink] = self._slid(pages[sink], self._turns[row, 0, sink])
            for frame, slot in enumerate(slots):
                pages[slot] = new[row, frame]
            rows.append(torch.cat(pages, dim=1))
        return torch.stack(rows)

    def _slid(self, keys: Tensor, turns: Tensor) -> Tensor:
        """A sink's keys [N, n, D] where they are to seem to lie."""
        timed = 2 * turns.shape[-1]
        return torch.cat([rotate(keys[..., :timed], turns), keys[..., timed:]], dim=-1)
