"""Between a codec's own latents and normalised ones: mean 0 and deviation 1 in every channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.preset import CodecSpec


class Normal(nn.Module):
    """The preset's mean and deviation. They are no weights: no file holds them, so they are not in the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        self.register_buffer("mean", _column(spec.mean or (0.0,)), persistent=False)
        self.register_buffer("std", _column(spec.std or (1.0,)), persistent=False)

    def undo(self, latents: Tensor) -> Tensor:
        """Normalised latents [T', C, h, w] -> the codec's own."""
        return latents * self.std + self.mean


def _column(values: tuple[float, ...]) -> Tensor:
    """One number a channel -> [C, 1, 1], in memory even where a module is built on the meta device."""
    return torch.tensor(values, device="cpu").view(-1, 1, 1)
