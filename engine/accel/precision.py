"""The codec in bfloat16 where a short benchmark finds that faster: CPU model names do not tell."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import Tensor

from engine.models.interfaces import CodecState, VideoCodec

MIN_SPEEDUP = 1.3  # bfloat16 has to be this many times as fast, or its rounding is not worth it
TRIES = 5


class Bfloat16Codec:
    """A `VideoCodec` that computes in bfloat16; what goes in and comes out keeps the caller's dtype."""

    def __init__(self, codec: VideoCodec) -> None:
        self._codec, self.spec = codec, getattr(codec, "spec", None)

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        latents, state = self._codec.encode(frames.to(torch.bfloat16), state)
        return latents.to(frames.dtype), state

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        frames, state = self._codec.decode(latents.to(torch.bfloat16), state)
        return frames.to(latents.dtype), state


@cache
def bfloat16_is_faster() -> bool:
    """Whether this CPU convolves faster in bfloat16, by enough to matter: one short trial of both."""
    return _seconds(torch.float32) > MIN_SPEEDUP * _seconds(torch.bfloat16)


@torch.inference_mode()
def _seconds(dtype: torch.dtype) -> float:
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(dtype)
    x = torch.ones(1, 64, 48, 48, dtype=dtype)
    layer(x)
    took = []
    for _ in range(TRIES):
        began = time.perf_counter()
        layer(x)
        took.append(time.perf_counter() - began)
    return min(took)
