"""Where the denoiser starts: not from noise, but from the best denoiser that is linear and knows no look."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.causal_dit import CausalDiT
from engine.preset import ScheduleSpec

BIAS = 1.0  # size of the constant part of a token, per channel
SHARE = 0.3  # size of the picture's part against its latents: small beside BIAS, so that the norms keep it linear
USUAL = 0.8  # share of noise in a source as it usually comes


@torch.no_grad()
def prepare(dit: CausalDiT, energy: Tensor, schedule: ScheduleSpec) -> None:
    """Give `dit` weights from which a small model learns at once.

    Patches enter along orthogonal directions beside a constant one, and the head reads them back; what it makes of
    them is the linear estimate of least error, halfway between the first step's and the second's. Gates are open;
    blocks add little yet.

    energy: [C], mean square of each latent channel.
    """
    dim, patch = dit.spec.dim, dit.spec.patch**2
    frame = _frame(dim, dit.spec.channels * patch + 1)
    inward, constant = frame[:, :-1], frame[:, -1]
    dit.patch_embedding.weight.copy_(SHARE * inward.view_as(dit.patch_embedding.weight))
    dit.patch_embedding.bias.copy_(BIAS * dim**0.5 * constant)  # type: ignore[union-attr]
    outward = inward.view(dim, -1, patch).permute(2, 1, 0).flatten(0, 1)  # the head speaks patch first, channel fastest
    dit.head.head.weight.copy_(outward * (_flow(energy, schedule).repeat(patch)[:, None] * BIAS / SHARE))
    dit.head.head.bias.zero_()
    dit.time_projection[1].weight.mul_(0.1)  # type: ignore[operator]
    for block in dit.blocks:
        block.modulation[:, [2, 5]] = 1.0  # type: ignore[operator]
        for layer in (block.self_attn.o, block.cross_attn.o, block.ffn[2]):  # type: ignore[union-attr, index]
            layer.weight.mul_(0.2)  # type: ignore[union-attr, operator]


def _frame(dim: int, count: int) -> Tensor:
    """[dim, count] orthonormal directions without a mean, so that a layer norm has nothing to take from them."""
    random = torch.randn(dim, min(count, dim - 1))
    directions: Tensor = torch.linalg.qr(random - random.mean(0)).Q
    return torch.nn.functional.pad(directions, (count - directions.shape[1], 0))


def _flow(energy: Tensor, spec: ScheduleSpec) -> Tensor:
    """[C]: flow per unit of noisy latent, of the linear estimate of least error, averaged over the first two steps."""
    steps = [(USUAL, USUAL - spec.lead / 1000), (spec.timesteps[1] / 1000,) * 2]
    flows = []
    for noise, told in steps:
        gain = (1 - noise) * energy / ((1 - noise) ** 2 * energy + noise**2)
        flows.append((1 - gain) / told)
    return torch.stack(flows).mean(0)
