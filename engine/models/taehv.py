"""TAEHV, a small autoencoder for Wan 2.1's latents, weight-compatible, with its state carried from call to call.

Every layer works on one frame; stateful blocks also see the frame before. So no frame is decoded twice.

Source: madebyollin/taehv taehv.py, at the sizes of taew2_1.pth.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.causal import CausalState, Stateful, check_frames, run
from engine.models.interfaces import CodecState
from engine.models.latents import Normal
from engine.preset import CodecSpec

RGB = 3
LIMIT = 3.0  # latents are squashed into -3..3, the range the decoder was trained on


class Taehv(nn.Module):
    """Implements `VideoCodec`, in place of the Wan autoencoder: a first frame of its own, then `temporal` a latent.

    The network itself knows only whole latents of `temporal` frames. A stream's first frame is therefore shown to the
    encoder as many times, and of the first latent's pictures only the last is kept. Its latents are normalised ones;
    the streaming model wants raw ones as input, so `encode` takes the preset's mean and deviation back out.
    """

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder = encoder(spec), decoder(spec)
        self.normal = Normal(spec)

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """frames [T, 3, H, W] in [-1, 1] -> raw latents [T', C, h, w], and the next state.

        T is 1 + temporal * n at the start of a stream, temporal * n later. Raises ValueError for any other T, and for
        an H or W that is no multiple of `spatial`.
        """
        check_frames(frames, state, self.spec)
        past = CausalState(state)
        if past.starts:
            frames = torch.cat([frames[:1].expand(self.spec.temporal - 1, -1, -1, -1), frames])
        return self.normal.undo(run(self.encoder, (frames + 1) / 2, past)), past.next

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """normalised latents [T', C, h, w] -> frames [T, 3, H, W] in [-1, 1], and the next state."""
        past = CausalState(state)
        frames = run(self.decoder, latents, past) * 2 - 1
        return frames[self.spec.temporal - 1 if past.starts else 0 :].clamp(-1, 1), past.next


def encoder(spec: CodecSpec) -> nn.Sequential:
    """Frames [T, 3, H, W] in [0, 1] -> latents [T', C, h, w]. Time shrinks first, at the largest pictures."""
    width = spec.widths[0]
    layers: list[nn.Module] = [conv(RGB, width), nn.ReLU()]
    for level in range(levels(spec)):
        merged = 2 if level < log2(spec.temporal) else 1
        layers += [Merge(width, merged), nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)]
        layers += [Block(width) for _ in range(spec.blocks)]
    return nn.Sequential(*layers, conv(width, spec.channels))


def decoder(spec: CodecSpec) -> nn.Sequential:
    """Latents [T', C, h, w] -> frames [T, 3, H, W], about 0..1. Time grows last."""
    wide = spec.widths[-1]
    layers: list[nn.Module] = [Squash(), conv(spec.channels, wide), nn.ReLU()]
    for level in reversed(range(levels(spec))):
        split = 2 if level < log2(spec.temporal) else 1
        layers += [Block(wide) for _ in range(spec.blocks)]
        layers += [nn.Upsample(scale_factor=2), Split(wide, split)]
        layers += [nn.Conv2d(wide, spec.widths[level], 3, padding=1, bias=False)]
        wide = spec.widths[level]
    return nn.Sequential(*layers, nn.ReLU(), conv(wide, RGB))


class Squash(nn.Module):
    """Squashes latents smoothly into -LIMIT..LIMIT."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / LIMIT) * LIMIT


class Block(nn.Module, Stateful):
    """x plus three convolutions of [x, the x before]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv(2 * width, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        earlier = past.prepend(x, 1, axis=0)[:-1]
        changed: Tensor = self.conv(torch.cat([x, earlier], dim=1))
        return F.relu(changed + x)


class Merge(nn.Module):
    """Every `frames` frames become one."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv2d(frames * width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.conv(x.reshape(-1, self.frames * x.shape[1], *x.shape[2:]))
        return merged


class Split(nn.Module):
    """Every frame becomes `frames`."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, frames * width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).reshape(-1, *x.shape[1:])  # type: ignore[no-any-return]


def conv(wide: int, out: int) -> nn.Conv2d:
    """3x3, same size."""
    return nn.Conv2d(wide, out, 3, padding=1)


def levels(spec: CodecSpec) -> int:
    """How many times height and width are halved."""
    return round(log2(spec.spatial))
