"""Builds the plain models of a preset; engine.accel makes them faster afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from engine.errors import BadPreset
from engine.models.interfaces import Denoiser, TextEncoder, VideoCodec
from engine.models.lora import LoraSet
from engine.models.text_on_demand import OnDemandTextEncoder
from engine.preset import CodecSpec, DitSpec, Preset, TextSpec
from engine.weights import load_weights

CODECS = {
    "small": "engine.models.small_codec:SmallCodec",
    "wan": "engine.models.wan_vae:WanVae",
    "taehv": "engine.models.taehv:Taehv",
}
DENOISERS = {"wan": "engine.models.causal_dit:CausalDiT"}
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
    loras: LoraSet = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.loras is None:
            object.__setattr__(self, "loras", LoraSet(self.denoiser, self.device, self.dtype))


def build(preset: Preset, device: torch.device, dtype: torch.dtype) -> Models:
    """Build and load the models of `preset`. Raises BadPreset for an unknown kind, BadWeights for files that misfit."""
    codec = build_codec(preset.codec, device, dtype)
    text = build_text(preset.text, device, dtype)
    return Models(codec, build_denoiser(preset.dit, device, dtype), text, device, dtype)


def build_denoiser(spec: DitSpec, device: torch.device, dtype: torch.dtype, layers: range | None = None) -> Denoiser:
    """The denoiser with its weights, or the part of it that has the blocks `layers`. Raises as `build` does.

    For a part, only its own weights are read from the file.
    """
    model = make_denoiser(spec, layers)
    skipped = make_denoiser(spec).state_dict().keys() - model.state_dict().keys() if layers else ()
    denoiser: Denoiser = _loaded(model, spec.weights, skipped=skipped).to(device, dtype)
    return denoiser


def build_codec(spec: CodecSpec, device: torch.device, dtype: torch.dtype) -> VideoCodec:
    """The codec with its weights. Raises as `build` does."""
    codec: VideoCodec = _loaded(make_codec(spec), spec.weights).to(device, dtype)
    return codec


def build_text(spec: TextSpec, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    """The text encoder with its weights, where the preset wants it. Raises as `build` does."""
    if spec.place == "device":
        encoder: TextEncoder = _loaded(make_text(spec), spec.weights).to(device, dtype)
        return encoder
    if spec.place == "cpu":
        mapped = _loaded(make_text(spec), spec.weights, lazy=True)  # reading 11 GB would delay the first picture
        return OnDemandTextEncoder(lambda: mapped, True, device, dtype)
    _loaded(make_text(spec), spec.weights, lazy=True)  # only checks that the file fits
    return OnDemandTextEncoder(lambda: _loaded(make_text(spec), spec.weights).to(device, dtype), False, device, dtype)


def _loaded(module: Any, weights: str, lazy: bool = False, skipped: Collection[str] = ()) -> Any:
    """The module with its weights, mapped from the file; with `lazy`, nothing is read before it is used."""
    load_weights(module, weights, lazy, skipped)
    return module.eval().requires_grad_(False)


class NoInitialisation(TorchFunctionMode):
    """Skips the functions of torch.nn.init, so that weights stay uninitialised.

    On the meta device they would make torch import its compiler, which takes as long as importing torch itself.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def without_memory() -> Iterator[None]:
    """Models built inside have weights on the meta device: shapes without memory."""
    with torch.device("meta"), NoInitialisation():
        yield


def make_codec(spec: CodecSpec) -> Any:
    """The codec without its weights: they are on the meta device until they are loaded, as with the other two."""
    return _make(CODECS, spec.kind, spec)


def make_text(spec: TextSpec) -> Any:
    """The text encoder without its weights."""
    return _make(TEXT_ENCODERS, spec.kind, spec)


def make_denoiser(spec: DitSpec, layers: range | None = None) -> Any:
    """The denoiser without its weights, or the part of it that has the blocks `layers`."""
    return _make(DENOISERS, spec.kind, spec, layers)


def _make(kinds: dict[str, str], kind: str, *given: Any) -> Any:
    if kind not in kinds:
        raise BadPreset(f"there is no model of kind {kind!r}", f"known: {', '.join(kinds)}")
    module, _, name = kinds[kind].partition(":")
    try:
        with without_memory():
            return getattr(import_module(module), name)(*given)
    except ValueError as error:
        raise BadPreset(f"{kind!r} cannot be built so: {error}", "compare it with configs/presets/tiny.toml") from error
