"""The Wan 2.1 video autoencoder, weight-compatible and exactly streaming: same layers, same key names, any size.

Inside, pictures are [1, C, T, H, W]. The first frame of a stream is a latent of its own; every later latent is
`temporal` frames. So a stream starts with 1 + 4n frames and goes on with 4n, and any such split gives the same numbers.

Source: Wan 2.1 wan/modules/vae.py.
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
TIME = 2  # the axis of T in [1, C, T, H, W]
MIN_NORM = 1e-12  # lower bound for a norm, or the smallest normal number of the dtype if that is larger


class WanVae(nn.Module):
    """Implements `VideoCodec`.

    What goes in and what comes out differ on purpose: the streaming model was trained on raw latents as its input and
    answers in normalised ones. So `encode` leaves mean and standard deviation alone, and `decode` puts them back.
    """

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder = Encoder(spec), Decoder(spec)
        self.conv1 = nn.Conv3d(2 * spec.channels, 2 * spec.channels, 1)
        self.conv2 = nn.Conv3d(spec.channels, spec.channels, 1)
        self.normal = Normal(spec)

    def encode(self, frames: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """frames [T, 3, H, W] in [-1, 1] -> raw latents [T', C, h, w], and the next state.

        T is 1 + temporal * n at the start of a stream, temporal * n later. Raises ValueError for any other T, and for
        an H or W that is no multiple of `spatial`.
        """
        check_frames(frames, state, self.spec)
        past = CausalState(state)
        moments = self.conv1(self.encoder(frames[None].transpose(1, 2), past))
        return moments[0, : self.spec.channels].transpose(0, 1), past.next

    def decode(self, latents: Tensor, state: CodecState | None) -> tuple[Tensor, CodecState]:
        """normalised latents [T', C, h, w] -> frames [T, 3, H, W] in [-1, 1], and the next state."""
        past = CausalState(state)
        raw = self.normal.undo(latents)[None].transpose(1, 2)
        pictures = self.decoder(self.conv2(raw), past)
        return pictures[0].transpose(0, 1).clamp(-1, 1), past.next


class CausalConv(nn.Conv3d, Stateful):
    """3x3x3 over this frame and the two before."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__(wide, out, 3, padding=(0, 1, 1))

    def forward(self, x: Tensor, past: CausalState) -> Tensor:  # type: ignore[override]
        out: Tensor = self._conv_forward(past.prepend(x, 2, TIME), self.weight, self.bias)
        return out


class Norm(nn.Module):
    """Unit length over channels, times the square root of their number, times gamma [C, 1, ...]."""

    def __init__(self, width: int, axes: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        high = torch.promote_types(x.dtype, torch.float32)  # not every device adds halves up in more than halves
        least = max(MIN_NORM, torch.finfo(x.dtype).tiny)
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=high).clamp(min=least).to(x.dtype)
        scale = self.gamma * self.gamma.shape[0] ** 0.5
        normed: Tensor = x / length * scale
        return normed


class Residual(nn.Module, Stateful):
    """Norm, SiLU, convolution, twice; added to x, or to its 1x1 map where the width changes."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        first = (Norm(wide), nn.SiLU(), CausalConv(wide, out))
        nothing = nn.Identity()  # where training drops out: it keeps the numbering of the keys
        self.residual = nn.Sequential(*first, Norm(out), nn.SiLU(), nothing, CausalConv(out, out))
        self.shortcut = nn.Identity() if wide == out else nn.Conv3d(wide, out, 1)

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        short: Tensor = self.shortcut(x)
        return short + run(self.residual, x, past)


class Attention(nn.Module):
    """Attention of one head over the positions of each frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width, axes=2)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        frames = x[0].transpose(0, 1)
        tokens = self.to_qkv(self.norm(frames)).flatten(2).mT.contiguous()  # fused kernels refuse any other layout
        q, k, v = tokens[:, None].chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0].mT.reshape_as(frames)
        out: Tensor = x + self.proj(seen)[None].transpose(1, 2)
        return out


class Shrink(nn.Module, Stateful):
    """Half the height and width; half the frames too if `temporal`."""

    def __init__(self, width: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))
        if temporal:
            self.time_conv = nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1))
        self.temporal = temporal

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        x = per_frame(self.resample, x)
        return self._halve(x, past) if self.temporal else x

    def _halve(self, x: Tensor, past: CausalState) -> Tensor:
        """Two frames become one, seen with the frame before them. A stream's first frame stays as it is."""
        joined = past.prepend(x, 1, TIME)
        if not past.starts:
            halved: Tensor = self.time_conv(joined)
            return halved
        return x if x.shape[TIME] == 1 else torch.cat([x[:, :, :1], self.time_conv(x)], dim=TIME)


class Grow(nn.Module, Stateful):
    """Twice the height and width with half the channels; twice the frames too if `temporal`."""

    def __init__(self, width: int, temporal: bool) -> None:
        super().__init__()
        larger = nn.Upsample(scale_factor=2.0, mode="nearest-exact")
        self.resample = nn.Sequential(larger, nn.Conv2d(width, width // 2, 3, padding=1))
        if temporal:
            self.time_conv = nn.Conv3d(width, 2 * width, (3, 1, 1))
        self.temporal = temporal

    @property
    def conv(self) -> nn.Conv2d:
        """What a doubled picture goes through."""
        found = self.resample[1]
        assert isinstance(found, nn.Conv2d)
        return found

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        return per_frame(self.resample, self._double(x, past) if self.temporal else x)

    def _double(self, x: Tensor, past: CausalState) -> Tensor:
        """One frame becomes two. A stream's first frame stays one, and those after it never see it."""
        alone = 1 if past.starts else 0
        first, rest = x[:, :, :alone], x[:, :, alone:]
        joined = past.prepend(rest, 2, TIME)
        if not rest.shape[TIME]:
            return first
        halves = self.time_conv(joined).chunk(2, dim=1)
        pairs = [frame for pair in zip(*(half.split(1, TIME) for half in halves), strict=True) for frame in pair]
        return torch.cat([first, *pairs], dim=TIME)


class Encoder(nn.Module):
    """Pictures [1, 3, T, H, W] -> mean and variance of latents [1, 2 * C, T', h, w]."""

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        self.conv1 = CausalConv(RGB, spec.widths[0])
        layers: list[nn.Module] = []
        wide = spec.widths[0]
        for level, width in enumerate(spec.widths):
            layers += [Residual(wide if i == 0 else width, width) for i in range(spec.blocks)]
            if level < len(spec.widths) - 1:
                layers.append(Shrink(width, is_temporal(spec, level)))
            wide = width
        self.downsamples = nn.Sequential(*layers)
        self.middle = middle(wide)
        self.head = nn.Sequential(Norm(wide), nn.SiLU(), CausalConv(wide, 2 * spec.channels))

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        return run([self.conv1, *self.downsamples, *self.middle, *self.head], x, past)


class Decoder(nn.Module):
    """Latents [1, C, T', h, w] -> pictures [1, 3, T, H, W]. One block more a level than the encoder has."""

    def __init__(self, spec: CodecSpec) -> None:
        super().__init__()
        wide = spec.widths[-1]
        self.conv1 = CausalConv(spec.channels, wide)
        self.middle = middle(wide)
        layers: list[nn.Module] = []
        for level, width in reversed(list(enumerate(spec.widths))):
            layers += [Residual(wide if i == 0 else width, width) for i in range(spec.blocks + 1)]
            if level:
                layers.append(Grow(width, is_temporal(spec, level - 1)))
                wide = width // 2
        self.upsamples = nn.Sequential(*layers)
        self.head = nn.Sequential(Norm(spec.widths[0]), nn.SiLU(), CausalConv(spec.widths[0], RGB))

    def forward(self, x: Tensor, past: CausalState) -> Tensor:
        return run([self.conv1, *self.middle, *self.upsamples, *self.head], x, past)


def middle(width: int) -> nn.Sequential:
    """The innermost layers, in which every position of a frame attends to every other."""
    return nn.Sequential(Residual(width, width), Attention(width), Residual(width, width))


def is_temporal(spec: CodecSpec, level: int) -> bool:
    """Whether the step between `level` and the next one in halves time too: only the innermost steps do."""
    return level >= log2(spec.spatial) - log2(spec.temporal)


def per_frame(layer: nn.Module, x: Tensor) -> Tensor:
    """Run a 2-d layer over [1, C, T, H, W], frame by frame."""
    out: Tensor = layer(x[0].transpose(0, 1))
    return out[None].transpose(1, 2)
