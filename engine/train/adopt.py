"""A run that starts from weights at hand instead of from nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.train.disk import keep
from engine.weights import load_weights


def adopt(weights: Path, folder: Path, preset: Preset) -> None:
    """Put codec, dit and text .safetensors of `weights` into a run's folder, where its stages look for a start.

    Raises BadWeights if a file is missing or does not fit the preset.
    """
    modules = {"codec": SmallCodec(preset.codec), "dit": CausalDiT(preset.dit), "text": ByteText(preset.text)}
    for name, module in modules.items():
        load_weights(module, str(weights.resolve() / f"{name}.safetensors"))
    folder.mkdir(parents=True, exist_ok=True)
    state = {"learner": {"averages": {name: module.state_dict() for name, module in modules.items()}}}
    keep({folder / "start.pt": lambda part: torch.save(state, part)})
