"""A text encoder that does not live beside the denoiser: it is large, and a prompt needs it for a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.models.interfaces import TextEncoder


class TextElsewhere:
    """Implements `TextEncoder` with one that `load` brings and that computes where it likes.

    keep: whether it stays after the prompt is encoded; mapped weights take no memory of their own, others do.
    """

    def __init__(self, load: Callable[[], TextEncoder], keep: bool, device: torch.device, dtype: torch.dtype) -> None:
        self._load, self._keep = load, keep
        self._device, self._dtype = device, dtype
        self._encoder: TextEncoder | None = None

    def encode(self, texts: Sequence[str]) -> Tensor:
        """n texts -> [n, L, D], on the denoiser's device. Raises BadWeights if the files are gone."""
        encoder = self._encoder or self._load()
        self._encoder = encoder if self._keep else None
        return encoder.encode(texts).to(self._device, self._dtype)
