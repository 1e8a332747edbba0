"""Closed forms: the codec's linear maps, fitted to clips before any training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.small_codec import SmallCodec, per_frame

RIDGE = 1e-4  # of the mean energy; keeps the decoder's fit from trusting latents that hardly vary


@torch.no_grad()
def fit_linear(codec: SmallCodec, cubes: Tensor) -> None:
    """Set the codec's linear maps from cubes [N, T', 3 * temporal, H, W]. The corrections are left alone.

    Encode: principal components in space of each cosine in time, the strongest overall. Cosines keep a still picture
    in the first of them, so a still picture decodes to a still picture. Decode: least squares from 3x3 latents.
    Latents get the square root of their natural spread (rms 1 over channels): the best bargain between colours that
    must survive the noise and details that would drown in it.
    """
    spec = codec.spec
    patches = _patches(cubes, spec.temporal, spec.spatial)
    mean = patches.mean((0, 1))
    basis, spread = _basis(patches - mean, spec.channels)
    strength = spread.sqrt() / spread.mean().sqrt()
    weight = basis * (strength / spread).view(-1, 1, 1)  # [C, temporal, 3 * spatial ** 2]
    codec.encoder.skip.weight.copy_(weight.view_as(codec.encoder.skip.weight))
    codec.encoder.skip.bias.copy_(-torch.einsum("ctd,d->c", weight, mean))  # type: ignore[union-attr]
    _fit_decoder(codec, cubes)


def _patches(cubes: Tensor, temporal: int, spatial: int) -> Tensor:
    """cubes [N, T', 3 * temporal, H, W] -> [n, temporal, 3 * spatial ** 2], ordered as a convolution's weight is."""
    columns = F.unfold(cubes.flatten(0, 1), spatial, stride=spatial)  # [N*T', 3*temporal*spatial^2, h*w]
    return columns.transpose(1, 2).reshape(-1, temporal, columns.shape[1] // temporal)


def _basis(patches: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The `channels` strongest separable directions [C, temporal, D] and their standard deviations [C]."""
    time = patches.shape[1]
    ramp = (torch.arange(time) + 0.5) * math.pi / time
    cosines = torch.stack([torch.cos(k * ramp) * ((1 if k == 0 else 2) / time) ** 0.5 for k in range(time)]).to(patches)
    energy, directions = [], []
    for cosine in cosines:
        part = torch.einsum("t,ntd->nd", cosine, patches)
        values, vectors = torch.linalg.eigh(part.T @ part / len(part))
        energy.append(values)
        directions.append(cosine[None, :, None] * vectors.T[:, None, :])
    values, order = torch.cat(energy).topk(channels)
    return torch.cat(directions)[order], values.clamp_min(1e-8).sqrt()


def _fit_decoder(codec: SmallCodec, cubes: Tensor) -> None:
    latents = per_frame(codec.encoder.skip, cubes).flatten(0, 1)
    near = F.unfold(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3)  # [n, C*9, h*w]
    known = torch.cat([near, torch.ones_like(near[:, :1])], 1).transpose(1, 2).flatten(0, 1)
    wanted = F.pixel_unshuffle(cubes.flatten(0, 1), codec.spec.spatial).flatten(2).transpose(1, 2).flatten(0, 1)
    square = known.T @ known
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    solution = torch.linalg.solve(square, known.T @ wanted)  # [C*9 + 1, 3*temporal*spatial^2]
    skip = codec.decoder.skip
    skip.weight.copy_(solution[:-1].T.reshape(skip.weight.shape))
    skip.bias.copy_(solution[-1])  # type: ignore[union-attr]
