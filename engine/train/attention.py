"""Attention written out. Torch's fused kernel saves memory, but on a processor its way back takes twice as long."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.causal_dit import Attention, CausalDiT

HIDDEN = -1e4  # what a masked score becomes; bfloat16 holds it


def write_out(dit: CausalDiT) -> None:
    """Let every attention of `dit` train without the fused kernel. Same weights, same result up to rounding."""
    for module in dit.modules():
        if isinstance(module, Attention):
            module.kernel = plain


def plain(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor:
    """A `Kernel` whose scores are an ordinary tensor."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, HIDDEN)
    with torch.autocast(scores.device.type, enabled=False):  # softmax would turn to float32, at twice the time
        return scores.softmax(-1) @ v.to(scores.dtype)
