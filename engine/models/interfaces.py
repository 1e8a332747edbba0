"""What the stream needs of a model. Models implement these; `engine.stream` knows nothing else about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

CodecState = tuple[Tensor, ...]  # what a codec keeps between chunks; opaque to everyone else
Context = Sequence[tuple[Tensor, ...]]  # per layer, what cross-attention reads of a prompt; opaque to everyone else


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
    """Keys and values for self-attention: `engine.stream.kvcache.KVCache` live, a whole clip in training.

    positions: [B, T]  integers: where in the stream the latent frames of this call lie.
    mask:      bool that broadcasts to [B, N, T*n, K*n], True where attention may look, or None for everywhere
               (live: always, once the window is full).
    """

    @property
    def positions(self) -> Tensor: ...

    @property
    def mask(self) -> Tensor | None: ...

    def extend(self, layer: int, key: Tensor, value: Tensor, turn: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Take this call's keys and values [B, T*n, N, D]; return all to attend to, [B, N, K*n, D].

        turn: rotates keys by their positions; what is returned is rotated, each frame by its own.
        """


class Denoiser(Protocol):
    """Predicts the flow v, so that clean = noisy - sigma * v."""

    def context(self, embedding: Tensor, min_tokens: int = 0) -> Context:
        """What cross-attention reads of an embedding [1, L, D]; once per prompt, and it may wait for the device.

        min_tokens: keep at least this many tokens, for callers that need equal shapes.
        """

    def __call__(self, latents: Tensor, timesteps: Tensor, memory: Memory, context: Context) -> Tensor:
        """latents [B, T, C, h, w], timesteps [B, T] -> flow [B, T, C, h, w]."""
