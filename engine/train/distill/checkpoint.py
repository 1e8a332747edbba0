"""All that a distillation is, on disk: each process writes what it holds, and a finished checkpoint appears at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.paths import locate
from engine.preset import Preset
from engine.train.disk import BadRun, keep, read_state, with_checksum
from engine.train.distill.ema import local
from engine.train.distill.parallel import World
from engine.train.distill.settings import BadSettings
from engine.train.export import check_finite

STATE = "state-"


def save(folder: Path, world: World, number: int, state: dict[str, Any]) -> None:
    """Write state-NUMBER with a file for each process, beside the last one; only then does the last one go."""
    part, done = folder / f"{STATE}{number:07}.part", folder / f"{STATE}{number:07}"
    part.mkdir(parents=True, exist_ok=True)
    try:
        keep({part / _name(world): lambda beside: torch.save(_plain(state), beside)})
    except BadRun:
        shutil.rmtree(part, ignore_errors=True)
        raise
    world.wait()
    if world.leads:
        shutil.rmtree(done, ignore_errors=True)
        part.rename(done)
        for old in _finished(folder)[:-1]:
            shutil.rmtree(old)
    world.wait()


def load(folder: Path, world: World) -> dict[str, Any] | None:
    """This process's part of the newest finished checkpoint, or None without one.

    What a kill left half written is cleared away.
    Raises BadSettings if another number of processes wrote it: their shares are of another size.
    """
    if world.leads:
        for half in folder.glob(f"{STATE}*.part"):
            shutil.rmtree(half)
    states = _finished(folder)
    if not states:
        return None
    path = states[-1] / _name(world)
    if not path.is_file():
        wrote = next(states[-1].iterdir()).stem.rpartition("-")[2]
        raise BadSettings(
            f"{states[-1]} was written by {wrote} processes", f"go on with {wrote}, or choose another --run"
        )
    return read_state(path)


def restore(saved: Any, target: Any) -> None:
    """Copy tensors into the (sharded) tensors of a state dict of the same keys."""
    for name, value in target.items():
        local(value).copy_(saved[name])


def export(folder: Path, world: World, weights: dict[str, Tensor], preset: Preset, steps: int) -> Path:
    """Write the student as a preset: student.safetensors and student.toml, for --preset <folder>/student.toml.

    weights: whole, on the processor. They are kept in the precision of the file they came from.
    """
    made = folder / "student.toml"
    if world.leads:
        student = folder / "student.safetensors"
        with safe_open(locate(preset.dit.weights), "pt") as source:
            made_of = {key: weight.to(source.get_tensor(key).dtype).contiguous() for key, weight in weights.items()}
        check_finite("the student", made_of)
        words = _toml(preset, student.resolve(), steps)
        weights_file = with_checksum(student, lambda part: save_file(made_of, part))
        keep({**weights_file, made: lambda part: part.write_text(words, "utf-8")})
    world.wait()
    return made


def _toml(preset: Preset, weights: Path, steps: int) -> str:
    """A preset in full, but for its weights and where `steps` starts. JSON's numbers and lists are TOML.

    Where the models could be downloaded is left out: the student is here and nowhere else.
    """
    table = {**asdict(replace(preset, controls={})), "controls": {**preset.controls, "steps": steps}}
    table["dit"]["weights"] = weights.as_posix()
    table["title"] = f"{preset.title} (distilled to {steps} {'step' if steps == 1 else 'steps'})"
    del table["name"]
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name in table.keys() - plain.keys():
        values = {key: value for key, value in table[name].items() if not isinstance(value, dict)}
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """The same tree with local parts in place of sharded tensors, so that it loads with weights_only."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return local(value).detach().cpu() if isinstance(value, Tensor) else value


def _name(world: World) -> str:
    return f"{world.rank}-of-{world.size}.pt"


def _finished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{STATE}*") if path.suffix != ".part")
