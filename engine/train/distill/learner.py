"""A network that learns in a distillation: its weights, optimiser and learning rate, whole or sharded."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.train.disk import Diverged
from engine.train.distill.checkpoint import restore
from engine.train.distill.generator import Generator
from engine.train.distill.parallel import norm_clipped

ASTRAY = "its last checkpoint is kept; begin another --run with lower rates"
WARM_UP = 0.02  # share of a run in which the learning rate rises


class Pupil:
    """A network and its AdamW.

    momentum: 0 as in the sources, where steps are small and batches large; a small batch needs some, or each step goes
    by the signs of noise.
    Source: Yin et al. 2024, arXiv:2405.14867; Huang et al. 2025, arXiv:2506.08009.
    """

    def __init__(self, name: str, network: Generator, rate: float, momentum: float, clip: float, anneal: float) -> None:
        self._name = name
        self.network, self._rate, self._clip, self._anneal = network, rate, clip, anneal
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=rate, betas=(momentum, 0.999), weight_decay=0.01)

    def descend(self, share: float) -> float:
        """One optimiser step down the gradients gathered since the last; `share` of the run is done. Their norm.

        Raises Diverged, before the step and on all processes, if that is not a number.
        """
        norm = norm_clipped(self.network, self._clip)
        if not math.isfinite(norm):
            raise Diverged(f"the gradient of the {self._name}", ASTRAY)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * rate_at(share, self._anneal)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        names = [name for name, _ in self.network.named_parameters()]
        moments = {name: self._optimiser.state[p] for name, p in self.network.named_parameters()}
        return {"weights": dict(self.network.named_parameters()), "moments": {name: moments[name] for name in names}}

    def load(self, saved: dict[str, Any]) -> None:
        weights = dict(self.network.named_parameters())
        with torch.no_grad():
            restore(saved["weights"], weights)
            for name, weight in weights.items():
                if saved["moments"][name]:
                    state = {key: torch.zeros_like(weight) for key in ("exp_avg", "exp_avg_sq")}
                    restore(saved["moments"][name], state)
                    self._optimiser.state[weight] = {**state, "step": saved["moments"][name]["step"].clone()}


def rate_at(share: float, anneal: float) -> float:
    """The learning rate when `share` of a run is done, as a factor: up, level, down over the last `anneal` of it."""
    fall = max(0.0, 1 - share) / anneal if anneal else 1.0
    return min(1.0, (share + 1e-3) / WARM_UP, fall)
