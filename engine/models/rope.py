"""Rotary position embedding over time, height and width, with positions given as tensors and no table that ends."""

from __future__ import annotations

import torch
from torch import Tensor


def axis_sizes(head_size: int) -> tuple[int, int, int]:
    """Channels of one head that turn with time, height and width: the two spatial axes take a third each, rounded."""
    spatial = 2 * (head_size // 6)
    return head_size - 2 * spatial, spatial, spatial


def rotation(positions: Tensor, grid: tuple[int, int], head_size: int) -> Tensor:
    """Unit complex numbers [B, T*h*w, 1, head_size/2] for frames at `positions` [B, T] on a grid of h x w tokens.

    Attention depends on differences only, so positions may be relative to anything. float64 angles, complex64 result
    (MPS has no float64: float32 there, where positions are small).
    Source: Wan 2.1 wan/modules/model.py, rope_apply.
    """
    time, height, width = axis_sizes(head_size)
    high = torch.float32 if positions.device.type == "mps" else torch.float64
    rows, columns = (torch.arange(side, device=positions.device) for side in grid)
    shape = (*positions.shape, *grid)
    angles = (
        _angles(positions, time, high)[:, :, None, None].expand(*shape, -1),
        _angles(rows, height, high)[:, None].expand(*shape, -1),
        _angles(columns, width, high).expand(*shape, -1),
    )
    turns = torch.cat(angles, dim=-1).flatten(1, 3)[:, :, None].float()
    return torch.polar(torch.ones_like(turns), turns)


def rotate(heads: Tensor, turns: Tensor) -> Tensor:
    """Turn neighbouring channel pairs of `heads` [B, L, N, D] by `turns` [B or 1, L, 1, D/2]; the dtype is kept."""
    pairs = torch.view_as_complex(heads.float().view(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(heads.dtype)


def _angles(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    exponents = torch.arange(0, size, 2, device=positions.device, dtype=dtype) / size
    return positions.to(dtype)[..., None] * torch.pow(10000.0, -exponents)
