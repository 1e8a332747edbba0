"""A preset becomes models. Plain ones: whatever makes them faster wraps them afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from engine.errors import BadPreset
from engine.models.causal_dit import CausalDiT
from engine.models.interfaces import Denoiser, TextEncoder, VideoCodec
from engine.models.lora import LoraRack
from engine.models.text_place import TextElsewhere
from engine.preset import CodecSpec, DitSpec, Preset, TextSpec
from engine.weights import load_weights

CODECS = {
    "small": "engine.models.small_codec:SmallCodec",
    "wan": "engine.models.wan_vae:WanVae",
    "taehv": "engine.models.taehv:Taehv",
}
TEXT_ENCODERS = {"bytes": "engine.models.byte_text:ByteText", "umt5": "engine.models.umt5:Umt5"}


@dataclass(frozen=True, slots=True)
class Models:
    """The three models of a preset. They hold weights and nothing else: any number of sessions may share them.

    loras: what is attached to the denoiser's weights; made for it unless given.
    """

    codec: VideoCodec
    denoiser: Denoiser
    text: TextEncoder
    device: torch.device
    dtype: torch.dtype
    loras: LoraRack = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.loras is None:
            object.__setattr__(self, "loras", LoraRack(self.denoiser, self.device, self.dtype))


def build(preset: Preset, device: torch.device, dtype: torch.dtype) -> Models:
    """Build and fill the models of `preset`. Raises BadPreset for an unknown kind, BadWeights for files that misfit."""
    codec = build_codec(preset.codec, device, dtype)
    text = build_text(preset.text, device, dtype)
    denoiser = _filled(make_denoiser(preset.dit), preset.dit.weights).to(device, dtype)
    return Models(codec, denoiser, text, device, dtype)


def build_codec(spec: CodecSpec, device: torch.device, dtype: torch.dtype) -> VideoCodec:
    """The codec, filled. Raises as `build` does."""
    codec: VideoCodec = _filled(make_codec(spec), spec.weights).to(device, dtype)
    return codec


def build_text(spec: TextSpec, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    """The text encoder, filled, where the preset wants it. Raises as `build` does."""
    if spec.place == "device":
        encoder: TextEncoder = _filled(make_text(spec), spec.weights).to(device, dtype)
        return encoder
    if spec.place == "cpu":
        mapped = _filled(make_text(spec), spec.weights)
        return TextElsewhere(lambda: mapped, True, device, dtype)
    _filled(make_text(spec), spec.weights)  # it maps the file, finds it whole, and is gone again
    return TextElsewhere(lambda: _filled(make_text(spec), spec.weights).to(device, dtype), False, device, dtype)


def _filled(module: Any, weights: str) -> Any:
    """The module with its weights, mapped from the file: nothing is read that is not used."""
    load_weights(module, weights)
    return module.eval().requires_grad_(False)


class Undrawn(TorchFunctionMode):
    """Weights begin as shapes, and no numbers are drawn for them.

    Drawing into tensors without memory would make torch import its compiler, which takes as long as torch itself.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """For building a model: its weights have no memory and no numbers."""
    with torch.device("meta"), Undrawn():
        yield


def make_codec(spec: CodecSpec) -> Any:
    """The codec without its weights. Like the other two it has shapes and no memory yet: loading brings that."""
    return _make(CODECS, spec.kind, spec)


def make_text(spec: TextSpec) -> Any:
    """The text encoder without its weights."""
    return _make(TEXT_ENCODERS, spec.kind, spec)


def make_denoiser(spec: DitSpec) -> CausalDiT:
    """The transformer without its weights."""
    with shapes_alone():
        return CausalDiT(spec)


def _make(kinds: dict[str, str], kind: str, spec: Any) -> Any:
    if kind not in kinds:
        raise BadPreset(f"there is no model of kind {kind!r}", f"known: {', '.join(kinds)}")
    module, _, name = kinds[kind].partition(":")
    try:
        with shapes_alone():
            return getattr(import_module(module), name)(spec)
    except ValueError as error:
        raise BadPreset(f"{kind!r} cannot be built so: {error}", "compare it with configs/presets/tiny.toml") from error
