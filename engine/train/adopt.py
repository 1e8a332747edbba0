"""A run that starts from weights at hand instead of from nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from engine.models.byte_text import ByteText
from engine.models.causal_dit import CausalDiT
from engine.models.small_codec import SmallCodec
from engine.preset import Preset
from engine.train.disk import BadRun, keep, read_state
from engine.weights import load_weights

START = "start.pt"


def adopt(weights: Path, folder: Path, preset: Preset) -> None:
    """Put codec, dit and text .safetensors of `weights` into a run's folder, where its stages look for a start.

    A run that was begun from these very weights goes on.
    Raises BadWeights if a file is missing or does not fit the preset, BadRun if the run was begun from something else.
    """
    modules = {"codec": SmallCodec(preset.codec), "dit": CausalDiT(preset.dit), "text": ByteText(preset.text)}
    for name, module in modules.items():
        load_weights(module, str(weights.resolve() / f"{name}.safetensors"))
    given = {name: module.state_dict() for name, module in modules.items()}
    if any(folder.glob("*.pt")):
        if not _begun_from(given, folder):
            raise BadRun(f"{folder} was begun from something else than {weights}", "choose another --run")
        return
    folder.mkdir(parents=True, exist_ok=True)
    keep({folder / START: lambda part: torch.save({"learner": {"averages": given}}, part)})


def _begun_from(given: dict[str, dict[str, Tensor]], folder: Path) -> bool:
    if not (folder / START).exists():
        return False
    start = read_state(folder / START)["learner"]["averages"]
    return all(
        start[name].keys() == tensors.keys() and all(torch.equal(start[name][key], tensors[key]) for key in tensors)
        for name, tensors in given.items()
    )
