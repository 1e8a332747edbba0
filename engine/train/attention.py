"""Attention written out. Torch's fused kernel saves memory, but on a processor its way back takes twice as long."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.causal_dit import Attention, CausalDiT

HIDDEN = -1e4  # what a masked score becomes; bfloat16 holds it


def write_out(dit: CausalDiT) -> None:
    """Let every attention of `dit` train without the fused kernel. Same weights, same result up to rounding."""
    for module in list(dit.modules()):
        if isinstance(module, Attention):
            module.__class__ = PlainAttention


class PlainAttention(Attention):
    """`Attention` whose scores are an ordinary tensor."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (heads.transpose(1, 2) for heads in (query, key, value))
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if mask is not None:
            scores = scores.masked_fill(~mask, HIDDEN)
        with torch.autocast(scores.device.type, enabled=False):  # softmax would turn to float32, at twice the time
            mixed = scores.softmax(-1) @ v.to(scores.dtype)
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out
