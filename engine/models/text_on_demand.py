"""A text encoder that is not kept beside the denoiser: it is large, and a prompt needs it for a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.models.interfaces import TextEncoder


class OnDemandTextEncoder:
    """Implements `TextEncoder` with the one that `load` returns when a prompt comes, on whatever device that is.

    keep: whether it stays loaded after the prompt is encoded; mapped weights take no memory of their own, others do.
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
