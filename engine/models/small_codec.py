"""The embedded model's codec: a linear map fitted in closed form, and small causal convolutions that correct it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.interfaces import CodecState
from engine.preset import CodecSpec

RGB = 3


class SmallCodec(nn.Module):
    """A `VideoCodec` for CPUs. `temporal` frames become one latent; nothing looks further back than one latent.

    Both halves are a linear map plus a correction. The map (every 8x8 block of 4 frames -> latent, and 3x3 latents ->
    block) is fitted, not trained, so the codec is usable before its first optimiser step; the corrections start at
    zero and learn what a linear map cannot: edges across blocks, and motion, from the latent before.
    """

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        if len(spec.widths) != 2 or spec.spatial % 2:
            raise ValueError(f"the small codec has two levels and an even spatial step, not {spec}")
        self.spec = spec
        self.encoder = Encoder(spec)
        self.decoder = Decoder(spec)

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """frames [T, 3, H, W] in [-1, 1], T a multiple of `temporal` -> latents [T / temporal, C, h, w], next state.

        Raises ValueError for a T that leaves half a latent over, or an H or W that is no multiple of `spatial`.
        """
        latents, state = self.encoder(pack(frames, self.spec)[None], state)
        return latents[0] * self.spec.scale, state

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """latents [T', C, h, w] -> frames [T' * temporal, 3, H, W] in [-1, 1], and the next state."""
        cubes, state = self.decoder(latents[None] / self.spec.scale, state)
        return unpack(cubes[0]).clamp(-1, 1), state


class Encoder(nn.Module):
    """Cubes [B, T', 3 * temporal, H, W] -> unscaled latents [B, T', C, h, w]."""

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        fine, coarse = spec.widths
        colours, half = RGB * spec.temporal, spec.spatial // 2
        self.skip = nn.Conv2d(colours, spec.channels, spec.spatial, spec.spatial)
        self.enter = nn.Sequential(nn.PixelUnshuffle(half), nn.Conv2d(colours * half * half, fine, 1))
        self.fine = nn.ModuleList(CausalBlock(fine) for _ in range((spec.blocks + 1) // 2))
        self.shrink = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * fine, coarse, 1))
        self.coarse = nn.ModuleList(CausalBlock(coarse) for _ in range((spec.blocks + 1) // 2))
        self.leave = zero(nn.Conv2d(coarse, spec.channels, 3, padding=1))

    def forward(self, cubes: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        previous = PreviousFrames(state)
        features = previous.run(self.fine, per_frame(self.enter, cubes))
        features = previous.run(self.coarse, per_frame(self.shrink, features))
        return per_frame(self.skip, cubes) + per_frame(self.leave, features), previous.next


class Decoder(nn.Module):
    """Unscaled latents [B, T', C, h, w] -> cubes [B, T', 3 * temporal, H, W].

    Twice the encoder's blocks: detail is made here.
    """

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        fine, coarse = spec.widths
        colours, half = RGB * spec.temporal, spec.spatial // 2
        self.skip = nn.Conv2d(spec.channels, colours * spec.spatial**2, 3)
        self.unfold = nn.PixelShuffle(spec.spatial)
        self.enter = nn.Conv2d(spec.channels, coarse, 3, padding=1)
        self.coarse = nn.ModuleList(CausalBlock(coarse) for _ in range(spec.blocks))
        self.grow = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2))
        self.fine = nn.ModuleList(CausalBlock(fine) for _ in range(spec.blocks))
        self.leave = nn.Sequential(zero(nn.Conv2d(fine, colours * half * half, 3, padding=1)), nn.PixelShuffle(half))

    def forward(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        previous = PreviousFrames(state)
        features = previous.run(self.coarse, per_frame(self.enter, latents))
        features = previous.run(self.fine, per_frame(self.grow, features))
        return self.linear(latents) + per_frame(self.leave, features), previous.next

    def linear(self, latents: Tensor) -> Tensor:
        """The linear map alone: cheap pixels, for losses that need to know what a latent is worth."""
        return per_frame(lambda z: self.unfold(self.skip(F.pad(z, (1, 1, 1, 1), mode="replicate"))), latents)


class CausalBlock(nn.Module):
    """x plus two convolutions of [x, the x before]. The sum is not clipped, so that the branch goes on learning."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(2 * width, width, 3, padding=1)
        self.change = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.change.weight.mul_(0.5)

    def forward(self, features: Tensor, before: Tensor) -> Tensor:
        past = torch.cat([before, features[:, :-1]], dim=1)
        both = torch.cat([features, past], dim=2)
        return features + per_frame(lambda x: self.change(F.leaky_relu(self.look(x), 0.2)), both)


class PreviousFrames:
    """Hands each block the frame before, from the last call's state, and collects the next state.

    At the start of a stream the first frame is its own predecessor, as if the picture had been still.
    """

    def __init__(self, state: CodecState | None) -> None:
        self._past: Iterator[Tensor] | None = None if state is None else iter(state)
        self.next: CodecState = ()

    def run(self, blocks: Iterable[nn.Module], features: Tensor) -> Tensor:
        for block in blocks:
            before = features[:, :1] if self._past is None else next(self._past)
            self.next += (features[:, -1:],)
            features = block(features, before)
        return features


def per_frame(layer: Callable[[Tensor], Tensor], frames: Tensor) -> Tensor:
    """Run a 2-d layer over [B, T, C, H, W], frame by frame."""
    out = layer(frames.flatten(0, 1))
    return out.view(*frames.shape[:2], *out.shape[1:])


def pack(frames: Tensor, spec: CodecSpec) -> Tensor:
    """frames [.., T, 3, H, W] -> cubes [.., T / temporal, temporal * 3, H, W]. Raises ValueError if they do not fit."""
    count, _, height, width = frames.shape[-4:]
    if count % spec.temporal or height % spec.spatial or width % spec.spatial:
        raise ValueError(f"{count} frames of {width}x{height} do not fill {spec.temporal} x {spec.spatial} cubes")
    return frames.reshape(*frames.shape[:-4], -1, spec.temporal * RGB, height, width)


def unpack(cubes: Tensor) -> Tensor:
    """The inverse of `pack`."""
    return cubes.reshape(*cubes.shape[:-4], -1, RGB, *cubes.shape[-2:])


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Initialise a layer to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
