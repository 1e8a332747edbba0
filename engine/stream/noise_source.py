"""The noise that is mixed into chunks."""

from __future__ import annotations

import torch
from torch import Tensor


class NoiseSource:
    """Gaussian noise from a seed: drawn anew each time, or one constant field per step.

    A constant field keeps a still picture still: the noise does not move under it.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self.seed = seed
        self._generator = torch.Generator(device).manual_seed(seed)

    def draw(self, like: Tensor, step: int, carry: bool) -> Tensor:
        """Noise shaped like `like` [T, C, h, w] for denoising step `step`; with `carry`, the same for every frame."""
        if not carry:
            return torch.randn(like.shape, generator=self._generator, device=self._device, dtype=like.dtype)
        still = torch.Generator(self._device).manual_seed(self.seed + 7919 * (step + 1))
        field = torch.randn(like.shape[1:], generator=still, device=self._device, dtype=like.dtype)
        return field.expand_as(like)
