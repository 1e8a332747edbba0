"""The two normalisations of the Wan transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis, in float32, weighted after the cast back.

    Queries and keys are normed over the full width, all heads together, before they are split.
    """

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        high = x.float()
        return (high * torch.rsqrt(high.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def plain_norm(x: Tensor, eps: float) -> Tensor:
    """Layer norm without weights; modulation takes their place."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)
