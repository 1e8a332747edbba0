"""The running average of weights, kept where they are: on shards as well as on whole tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """mean <- decay * mean + (1 - decay) * weight after each update; early on, decay is at most n / (n + 10).

    A sharded weight's average is sharded alike, so that it costs each process its share and no message.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._module = module
        self.means = {name: local(weight).detach().clone() for name, weight in module.named_parameters()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take the module's weights in, after its update number `updates`, counted from 1."""
        share = 1 - min(self._decay, updates / (updates + 10))
        for name, weight in self._module.named_parameters():
            self.means[name].lerp_(local(weight), share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the module's weights with the means; a second call puts everything back."""
        for name, weight in self._module.named_parameters():
            live, mean = local(weight), self.means[name]
            kept = live.clone()
            live.copy_(mean)
            mean.copy_(kept)


def local(weight: Any) -> Tensor:
    """The part of a weight that this process holds: all of it, unless it is sharded."""
    part: Tensor = weight.to_local() if hasattr(weight, "to_local") else weight.data
    return part
