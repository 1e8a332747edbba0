"""What the stream needs of a model. Models implement these; `engine.stream` knows nothing else about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

CodecState = tuple[Tensor, ...]  # what a codec keeps between chunks; opaque to everyone else
Context = Sequence[tuple[Tensor, Tensor]]  # per layer: cross-attention keys and values, [1, L, N, D] each


class VideoCodec(Protocol):
    """Pixels to latents and back, causally: any split of a stream into chunks gives the same result.

    A state of None starts a stream. States are never changed in place: the caller may keep and replay one.
    """

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """frames [T, 3, H, W] in [-1, 1] -> latents [T', C, h, w] as the denoiser wants them, and the next state."""

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """latents [T', C, h, w] -> frames [T, 3, H, W] in [-1, 1], and the next state."""


class TextEncoder(Protocol):
    """Words to embeddings of one fixed size, so that they can be blended and faded."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """n texts -> [n, L, D]."""


class Memory(Protocol):
    """What self-attention may look back at: `engine.stream.kvcache.KVCache` live, a whole clip in training.

    query_positions: [B, T]  latent-frame positions of the frames in this call.
    key_positions:   [B, K]  positions of the frames that `extend` returns keys for.
    mask:            bool that broadcasts to [B, N, T*n, K*n], True where attention may look, or None for everywhere
                     (live: always, but while a stream batch fills).
    """

    @property
    def query_positions(self) -> Tensor: ...

    @property
    def key_positions(self) -> Tensor: ...

    @property
    def mask(self) -> Tensor | None: ...

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Take this call's keys and values [B, T*n, N, D], unrotated; return all to attend to, [B, K*n, N, D]."""


class Denoiser(Protocol):
    """Predicts the flow v, so that clean = noisy - sigma * v."""

    def context(self, embedding: Tensor) -> Context:
        """A prompt's embedding [1, L, D] -> cross-attention keys and values, once per prompt."""

    def __call__(self, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> Tensor:
        """latents [B, T, C, h, w], timesteps [B, T] -> flow [B, T, C, h, w]."""
