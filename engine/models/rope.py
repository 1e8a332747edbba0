"""Rotary position embedding over time, height and width. Positions are tensors, and there is no table to run out of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ANGLE_BITS = 24  # integers of so many bits are exact in float32


def axis_sizes(head_size: int) -> tuple[int, int, int]:
    """Channels of one head that turn with time, height and width: the two spatial axes take a third each, rounded."""
    spatial = 2 * (head_size // 6)
    return head_size - 2 * spatial, spatial, spatial


def rotation(positions: Tensor, grid: tuple[int, int], head_size: int) -> Tensor:
    """Unit complex numbers [B, T*h*w, 1, head_size/2] for frames at integer `positions` [B, T], on a grid of h x w
    tokens. Good to 1e-5 at any distance from each other, on devices without float64 too.

    Source: Wan 2.1 wan/modules/model.py, rope_apply.
    """
    time, height, width = axis_sizes(head_size)
    rows, columns = (torch.arange(side, device=positions.device) for side in grid)
    shape = (*positions.shape, *grid)
    angles = (
        _angles(positions, time)[:, :, None, None].expand(*shape, -1),
        _angles(rows, height)[:, None].expand(*shape, -1),
        _angles(columns, width).expand(*shape, -1),
    )
    turns = torch.cat(angles, dim=-1).flatten(1, 3)[:, :, None]
    return torch.polar(torch.ones_like(turns), turns)


def rotate(heads: Tensor, turns: Tensor) -> Tensor:
    """Turn neighbouring channel pairs of `heads` [..., D] by `turns` [..., D/2], which broadcasts; the dtype is kept.

    Complex products in float32: measured, no other way of writing it is faster on a CPU.
    """
    pairs = torch.view_as_complex(heads.float().view(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(heads.dtype)


def _angles(positions: Tensor, size: int) -> Tensor:
    """[...] integers -> [..., size/2] radians in float32.

    A whole turn is 2**64, so integers wrap where angles do, and the difference of two angles depends on the difference
    of their positions alone, to the last bit, however far a stream has come.
    """
    channels = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32)
    steps = (torch.pow(10000.0, -channels / size) * (2**64 / math.tau)).to(torch.int64)
    turns: Tensor = (positions[..., None] * steps) >> (64 - ANGLE_BITS)
    return turns.float() * (math.tau / (1 << ANGLE_BITS))
