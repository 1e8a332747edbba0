"""A small network that tells rendered pictures from made ones, so that a later step has a reason to be crisp."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

WIDTHS = (6, 32, 64, 96)  # two neighbouring frames go in: flicker gives a picture away as much as blur does
LEAK = 0.2


class Discriminator(nn.Module):
    """Two frames [N, 6, H, W] in [-1, 1] and what was asked for [N, D] -> how real each place of 8x8 looks, [N, h, w].

    Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks" (judging patches);
    Miyato and Koyama 2018, "cGANs with Projection Discriminator" (the prompt as an inner product).
    """

    def __init__(self, words: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(UnitConv(*widths) for widths in zip(WIDTHS, WIDTHS[1:], strict=False))
        self.plain = nn.Linear(WIDTHS[-1], 1, bias=False)
        self.asked = nn.Linear(words, WIDTHS[-1], bias=False)

    def forward(self, pairs: Tensor, words: Tensor) -> Tensor:
        x = pairs
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        seen: Tensor = self.plain(x.movedim(1, -1))[..., 0] + torch.einsum("nchw,nc->nhw", x, self.asked(words))
        return seen

    def frozen(self, pairs: Tensor, words: Tensor) -> Tensor:
        """The same answer, of which these weights learn nothing."""
        held = {name: weight.detach() for name, weight in self.named_parameters()}
        answer: Tensor = functional_call(self, held, (pairs, words))
        return answer


class UnitConv(nn.Conv2d):
    """Half the size, each filter of one length: what cannot grow cannot win by shouting."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__(wide, out, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        unit = self.weight * (2**0.5 / self.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
        return self._conv_forward(x, unit, self.bias)


def pairs(pictures: Tensor) -> Tensor:
    """Frames [B, T, 3, H, W] -> every other one with the one after it, [B * T // 2, 6, H, W]."""
    return rearrange(pictures, "b (t pair) c h w -> (b t) (pair c) h w", pair=2)


def above(upper: Tensor, lower: Tensor) -> Tensor:
    """A loss that asks for answers above others, place by place. Real and made show one scene, so what is in it, which
    varies far more than how well it is made, drops out of the comparison.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734 (relativistic discriminator), paired.
    """
    return F.softplus(lower - upper).mean()


def pull(pictures: Tensor, judged: Tensor, doubted: Tensor, share: float) -> Tensor:
    """`doubted` as a loss of the pictures, `share` times as strong as `judged` is: that is, of equal slopes if 1.

    Source: Esser et al. 2021, "Taming Transformers", equation 7; taken at the pictures and not at the last layer.
    """
    own, other = (torch.autograd.grad(loss, pictures, retain_graph=True)[0] for loss in (judged, doubted))
    return share * own.norm() / (other.norm() + 1e-8) * (other * pictures).sum()
