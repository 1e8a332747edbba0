"""From checkpoints to the files that ship: the running averages, as float16 safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

STAGES = ("finish", "denoiser", "codec", "start")


def export(folder: Path, target: Path) -> dict[str, int]:
    """Write codec, dit and text .safetensors from the newest stage in a run's folder; return each one's size in bytes.

    Raises FileNotFoundError if the run has not come far enough.
    """
    target.mkdir(parents=True, exist_ok=True)
    return {name: _write(newest(folder, name), target / f"{name}.safetensors") for name in ("codec", "dit", "text")}


def newest(folder: Path, name: str, stages: Sequence[str] = STAGES) -> dict[str, torch.Tensor]:
    """The averaged weights of module `name` from the first of `stages` that trained it."""
    for stage in stages:
        path = folder / f"{stage}.pt"
        if path.exists():
            averages = torch.load(path, map_location="cpu", weights_only=True)["learner"]["averages"]
            if name in averages:
                weights: dict[str, torch.Tensor] = averages[name]
                return weights
    raise FileNotFoundError(f"{folder} holds no trained {name} yet")


def _write(weights: dict[str, torch.Tensor], path: Path) -> int:
    part = path.with_suffix(".part")
    save_file({name: tensor.half().contiguous() for name, tensor in weights.items()}, part)
    part.chmod(0o644)  # safetensors writes for the owner alone; a package is for everybody
    part.replace(path)
    return path.stat().st_size
