"""LoRAs on a model that runs: attached beside its linear layers, their strengths changed between two chunks.

The weights themselves are never changed. That costs two small matrix products per layer while a LoRA is attached. In
return a strength changes at once (it is one number on the device), detaching restores the model exactly, weights stay
mapped or quantised, and every tensor keeps its address, so that captured CUDA graphs stay valid.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.interfaces import Denoiser
from engine.models.lora_file import LowRank, lora_path, read_lora


class Adapter:
    """What the attached LoRAs add to one linear layer. A forward hook: the layer, its weight and its name stay."""

    def __init__(self, linear: nn.Module) -> None:
        self._parts: dict[str, tuple[Tensor, Tensor, Tensor | None, Tensor]] = {}
        self._hook = linear.register_forward_hook(self)

    def __call__(self, linear: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
        for down, up, bias, strength in self._parts.values():
            out = out + strength * F.linear(F.linear(given[0], down), up, bias)
        return out

    def attach(self, name: str, pair: LowRank, strength: Tensor) -> None:
        """Add a LoRA. strength: a 0-d tensor on the device, read at every call.

        All of it is copied, not mapped: the file may be written over while it is on.
        """
        down, up = (part.to(strength, copy=True) for part in (pair.down, pair.up))
        bias = None if pair.bias is None else pair.bias.to(strength, copy=True)
        self._parts[name] = (down, up, bias, strength)

    def detach(self, name: str) -> bool:
        """Detach a LoRA; True if none is left and the hook is removed."""
        self._parts.pop(name, None)
        if not self._parts:
            self._hook.remove()
        return not self._parts


class LoraSet:
    """The LoRAs on one denoiser. It belongs to the model: a LoRA that one session attaches is on for all that share it.

    attached: names and current strengths.
    changes:  how often a LoRA was attached or detached; a CUDA graph has to be captured again after each.
    """

    def __init__(self, denoiser: Denoiser, device: torch.device, dtype: torch.dtype) -> None:
        self._denoiser, self._device, self._dtype = denoiser, device, dtype
        self._adapters: dict[str, Adapter] = {}
        self._strengths: dict[str, Tensor] = {}
        self.attached: dict[str, float] = {}
        self.changes = 0

    @property
    def _linears(self) -> dict[str, nn.Module]:
        """The current linear layers. Not stored: layers that fp8 has replaced since would stay in memory."""
        modules = self._denoiser.named_modules() if isinstance(self._denoiser, nn.Module) else ()
        return {name: layer for name, layer in modules if hasattr(layer, "in_features")}

    def read(self, name: str) -> dict[str, LowRank]:
        """The LoRA called `name`, from its file. Slow; may run on another thread. Raises BadWeights."""
        layers = {name: (int(layer.in_features), int(layer.out_features)) for name, layer in self._linears.items()}  # type: ignore[arg-type]
        return read_lora(lora_path(name), layers)

    def apply(self, wanted: Mapping[str, float], pairs: Mapping[str, dict[str, LowRank]]) -> None:
        """Attach and detach until exactly `wanted` are on, with these strengths. pairs: of those that are new."""
        for name in [name for name in self.attached if name not in wanted]:
            self._detach(name)
        for name, strength in wanted.items():
            if name not in self.attached:
                self._attach(name, pairs[name])
            self._strengths[name].fill_(strength)
            self.attached[name] = strength

    def _attach(self, name: str, pairs: Mapping[str, LowRank]) -> None:
        self._strengths[name], linears = torch.zeros((), device=self._device, dtype=self._dtype), self._linears
        for layer, pair in pairs.items():
            if layer not in self._adapters:
                self._adapters[layer] = Adapter(linears[layer])
            self._adapters[layer].attach(name, pair, self._strengths[name])
        self.changes += 1

    def _detach(self, name: str) -> None:
        self._adapters = {layer: adapter for layer, adapter in self._adapters.items() if not adapter.detach(name)}
        del self._strengths[name], self.attached[name]
        self.changes += 1
