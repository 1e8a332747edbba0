"""What a picture is worth. All losses compare frames or cubes of any leading shape, [.., H, W]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def charbonnier(error: Tensor, width: float = 0.01) -> Tensor:
    """Mean absolute error, rounded off at zero."""
    return (error.square() + width**2).sqrt().mean()


def slopes(error: Tensor) -> Tensor:
    """Mean absolute error of the horizontal and vertical differences: edges."""
    return (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2


def ripple(error: Tensor) -> Tensor:
    """Mean absolute error of the differences in time, for frames [B, T, 3, H, W]: flicker."""
    return error.diff(dim=1).abs().mean()


def decibels(error: Tensor) -> float:
    """PSNR of an error between pictures in [-1, 1]."""
    return float(-10 * torch.log10(error.square().mean() / 4))


def detail(pictures: Tensor, truth: Tensor) -> Tensor:
    """How far off the amount of detail is in each 8x8 square, wherever in it: here blur is never the best answer."""
    return (_busyness(pictures) - _busyness(truth)).abs().mean()


def _busyness(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(0, 1)
    slope = flat.diff(dim=-1)[..., 1:, :].abs() + flat.diff(dim=-2)[..., 1:].abs()
    return F.avg_pool2d(slope, 8, stride=4)
