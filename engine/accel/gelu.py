"""The feed-forward's activation on a CPU, where torch's own tanh takes a third as long as the layer before it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.models.causal_dit import Block, CausalDiT

SLOPE = 2 * math.sqrt(2 / math.pi)
CURVE = 0.044715 * SLOPE
TOKEN_BLOCK = 64  # tokens


class ExpGelu(nn.Module):
    """GELU in its tanh form, from the same numbers: (1 + tanh u) / 2 is sigmoid(2u), which costs one exp.

    Computed in float32, and written over what comes in, a piece at a time that fits into the processor's cache; not to
    be trained through. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, contiguous; the dtype is kept."""
        slope = torch.full((), SLOPE)
        for piece in torch.split(x.view(-1, x.shape[-1]), TOKEN_BLOCK):
            wide = piece.float()
            twice = torch.addcmul(slope, wide, wide, value=CURVE).mul_(wide)
            piece.copy_(twice.sigmoid_().mul_(wide))
        return x


def apply(model: CausalDiT) -> int:
    """Give every block of a model on a CPU that activation, in place; how many."""
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    for block in blocks:
        block.ffn[1] = ExpGelu()
    return len(blocks)
