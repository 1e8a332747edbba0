"""From checkpoints to the files that ship: the running averages, as float16 safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from engine.train.disk import BadRun, keep, read_state, with_checksum
from engine.weights import is_finite

STAGES = ("words", "finish", "denoiser", "codec", "start")
PARTS = ("codec", "dit", "text")
PRESET = "trained.toml"


def export(folder: Path, target: Path) -> dict[str, int]:
    """Write codec, dit and text .safetensors from the newest stage in a run's folder; return each one's size in bytes.

    Raises BadRun if the run has not come far enough or holds no numbers, or there is no room; `target` is as it was
    then.
    """
    found = {name: _halved(name, newest(folder, name)) for name in PARTS}
    target.mkdir(parents=True, exist_ok=True)
    paths = {name: target / f"{name}.safetensors" for name in PARTS}
    files = [with_checksum(path, partial(_write, found[name])) for name, path in paths.items()]
    keep({path: write for pair in files for path, write in pair.items()})
    return {name: path.stat().st_size for name, path in paths.items()}


def export_preset(target: Path) -> Path:
    """Write a preset for the weights in `target`, so that they can be played and measured before they ship."""
    lines = ['extends = "tiny"']
    for name in PARTS:
        lines += ["", f"[{name}]", f"weights = {json.dumps((target / f'{name}.safetensors').resolve().as_posix())}"]
    path = target / PRESET
    keep({path: lambda part: part.write_text("\n".join(lines) + "\n", encoding="utf-8")})
    return path


def newest(folder: Path, name: str, stages: Sequence[str] = STAGES) -> dict[str, Tensor]:
    """The averaged weights of module `name` from the first of `stages` that trained it. Raises BadRun without one."""
    for stage in stages:
        path = folder / f"{stage}.pt"
        if path.exists():
            averages = read_state(path)["learner"]["averages"]
            if name in averages:
                weights: dict[str, Tensor] = averages[name]
                return weights
    raise BadRun(f"{folder} holds no trained {name} yet", "train first: python -m engine.train tiny")


def _halved(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    halved = {key: tensor.half().contiguous() for key, tensor in weights.items()}
    check_finite(name, halved)
    return halved


def check_finite(name: str, weights: dict[str, Tensor]) -> None:
    """Raise BadRun unless `weights`, of the module `name`, are numbers in the precision they will be kept in."""
    for key, tensor in weights.items():
        if not is_finite(tensor):
            raise BadRun(f"{key} of {name} holds values that are not numbers", "no weights were written: train again")


def _write(weights: dict[str, Tensor], part: Path) -> None:
    save_file(weights, part)
    part.chmod(0o644)  # safetensors writes for the owner alone; a package is for everybody
