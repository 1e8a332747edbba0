"""A preset becomes models. Plain ones: whatever makes them faster wraps them afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from engine.errors import BadPreset
from engine.models.causal_dit import CausalDiT
from engine.models.interfaces import Denoiser, TextEncoder, VideoCodec
from engine.preset import Preset
from engine.weights import load_weights

CODECS = {"small": "engine.models.small_codec:SmallCodec"}
TEXT_ENCODERS = {"bytes": "engine.models.byte_text:ByteText"}


@dataclass(frozen=True, slots=True)
class Models:
    """The three models of a preset. They hold weights and nothing else: any number of sessions may share them."""

    codec: VideoCodec
    denoiser: Denoiser
    text: TextEncoder
    device: torch.device
    dtype: torch.dtype


def build(preset: Preset, device: torch.device, dtype: torch.dtype) -> Models:
    """Build and fill the models of `preset`. Raises BadPreset for an unknown kind, BadWeights for files that misfit."""
    codec = _make(CODECS, preset.codec.kind, preset.codec)
    text = _make(TEXT_ENCODERS, preset.text.kind, preset.text)
    denoiser = CausalDiT(preset.dit)
    for module, spec in ((codec, preset.codec), (text, preset.text), (denoiser, preset.dit)):
        load_weights(module, spec.weights)
        module.to(device, dtype).eval().requires_grad_(False)
    return Models(codec, denoiser, text, device, dtype)


def _make(kinds: dict[str, str], kind: str, spec: Any) -> Any:
    if kind not in kinds:
        raise BadPreset(f"there is no model of kind {kind!r}", f"known: {', '.join(kinds)}")
    module, _, name = kinds[kind].partition(":")
    made: nn.Module = getattr(import_module(module), name)(spec)
    return made
