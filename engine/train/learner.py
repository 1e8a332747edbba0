"""Modules together with everything that changes while they learn: optimisers, learning rate, running averages."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.train.disk import Diverged
from engine.train.muon import Muon
from engine.weights import is_finite

WARM_UP = 0.02  # share of a stage in which the learning rate rises
ASTRAY = "its last checkpoint is kept: `export` that, and start another --run from it with another --seed"
ANNEAL = 0.45  # share of a stage, at its end, in which it falls to nothing: half of the gain comes here


@dataclass(frozen=True)
class Rates:
    """Learning rates: Muon's for a transformer's inner matrices, AdamW's for the rest, and for names in `gentle`."""

    rest: float
    matrices: float = 0.0
    slow: float = 0.0
    gentle: tuple[str, ...] = ()


class Learner:
    """Trains some modules and keeps a running average of each.

    averages[name] is the module to ship. decay is the averages' memory once the stage is under way.
    """

    def __init__(self, modules: Mapping[str, nn.Module], rates: Rates, decay: float = 0.999) -> None:
        self.modules = dict(modules)
        self.averages = {name: copy.deepcopy(module).eval().requires_grad_(False) for name, module in modules.items()}
        self.steps = 0
        self._decay = decay
        self._optimisers = _optimisers(self.modules, rates)

    def settle(self) -> None:
        """Start the averages where the modules are now, after something other than an optimiser has set them."""
        for name, module in self.modules.items():
            self.averages[name].load_state_dict(module.state_dict())

    def descend(self, loss: Tensor, share: float) -> None:
        """One optimiser step down `loss`; `share` of the stage is done. Raises Diverged, before it, if none can be."""
        loss.backward()  # type: ignore[no-untyped-call]
        for name, module in self.modules.items():  # each for itself: one that stumbles does not slow the others
            if not nn.utils.clip_grad_norm_(module.parameters(), 1.0).isfinite():
                raise Diverged(f"the gradient of {name} in step {self.steps + 1}", ASTRAY)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate_at(share)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        self._average()

    def _average(self) -> None:
        decay = min(self._decay, self.steps / (self.steps + 10))
        for name, module in self.modules.items():
            for mean, value in zip(self.averages[name].parameters(), module.parameters(), strict=True):
                mean.lerp_(value.detach(), 1 - decay)

    def check(self) -> None:
        """Raise Diverged if a weight, or a mean of weights, is not a number."""
        for name, module in (*self.modules.items(), *self.averages.items()):
            for key, weight in module.state_dict().items():
                if not is_finite(weight):
                    raise Diverged(f"{key} of {name} after step {self.steps}", ASTRAY)

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "averages": {name: module.state_dict() for name, module in self.averages.items()},
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["modules"].keys() != self.modules.keys():
            raise ValueError("the checkpoint is of another version's run: choose another --run")
        self.steps = state["steps"]
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
            self.averages[name].load_state_dict(state["averages"][name])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def rate_at(share: float) -> float:
    """The learning rate when `share` of a stage is done, as a factor: up, level, then down in a straight line."""
    return min(1.0, (share + 1e-3) / WARM_UP, max(0.0, 1 - share) / ANNEAL)


def _optimisers(modules: Mapping[str, nn.Module], rates: Rates) -> list[torch.optim.Optimizer]:
    named = [(f"{key}.{name}", p) for key, m in modules.items() for name, p in m.named_parameters() if p.requires_grad]
    slow = [p for name, p in named if any(word in name for word in rates.gentle)]
    inner = [p for name, p in named if rates.matrices and p.ndim == 2 and "blocks." in name and min(p.shape) > 8]
    taken = {id(p) for p in slow + inner}
    rest = [p for _, p in named if id(p) not in taken]
    groups = [{"params": rest, "peak": rates.rest}, {"params": slow, "peak": rates.slow}]
    adam = torch.optim.AdamW([g for g in groups if g["params"]], lr=rates.rest, betas=(0.9, 0.99), weight_decay=0.01)
    return [adam, Muon([{"params": inner, "peak": rates.matrices}])] if inner else [adam]
