"""Whether a checkpoint is the model it should be, key by key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.build import make_codec, make_denoiser, make_text
from engine.preset import Preset
from engine.weights import is_finite

Shapes = dict[str, tuple[int, ...]]
_GROWTH = re.compile(r"decoder\.\d+\.conv\.weight")  # TAEHV: stored with room for more frames than are made


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the models a preset is made of: the preset it is of by default, a key only it has, and how it is built."""

    preset: str
    sign: str
    make: Callable[[Preset], object]
    grows: bool = False

    def shapes(self, preset: Preset) -> Shapes:
        """Every key of `preset`'s model and its shape."""
        state: dict[str, Tensor] = self.make(preset).state_dict()  # type: ignore[attr-defined]
        return {key: tuple(value.shape) for key, value in state.items()}


KINDS = {
    "dit": Kind("wan-1.3b", "patch_embedding.weight", lambda preset: make_denoiser(preset.dit)),
    "vae": Kind("wan-1.3b", "decoder.middle.0.residual.0.gamma", lambda preset: make_codec(preset.codec)),
    "umt5": Kind("wan-1.3b", "token_embedding.weight", lambda preset: make_text(preset.text)),
    "taehv": Kind("wan-1.3b-fast", "decoder.22.weight", lambda preset: make_codec(preset.codec), grows=True),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """What became of every key. `tensors` are those that matched; the model is whole if there is nothing else."""

    tensors: dict[str, Tensor]
    cut: Shapes  # matched after cutting to the last channels: what they were
    missing: Shapes
    unexpected: Shapes
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]  # found, wanted
    broken: tuple[str, ...]  # hold values that are not numbers, or not stored as plain ones

    @property
    def whole(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen or self.broken)

    @property
    def summary(self) -> str:
        """How many keys of each sort there are, in words."""
        counts: dict[str, Sized] = {
            "matched": self.tensors,
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of a wrong shape": self.misshapen,
            "not numbers": self.broken,
        }
        return ", ".join(f"{len(keys)} {word}" for word, keys in counts.items() if keys or word == "matched")

    def lines(self) -> Iterator[str]:
        """One line a key; what is wrong comes last, where a terminal shows it."""
        for key, tensor in self.tensors.items():
            was = f", the last of {self.cut[key][0]} channels" if key in self.cut else ""
            yield f"matched      {key} {list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}{was}"
        yield from (f"missing      {key} {list(shape)}" for key, shape in self.missing.items())
        yield from (f"unexpected   {key} {list(shape)}" for key, shape in self.unexpected.items())
        for key, (found, wanted) in self.misshapen.items():
            yield f"wrong shape  {key} {list(found)}, not {list(wanted)}"
        yield from (f"not numbers  {key}" for key in self.broken)


def fit(found: dict[str, Tensor], wanted: Shapes, grows: bool = False) -> Fit:
    """Compare a checkpoint's tensors with the model's shapes. grows: cut TAEHV's time layers to what is built."""
    cut = {key: tuple(value.shape) for key, value in found.items() if grows and _too_long(key, value, wanted)}
    found = {key: value[-wanted[key][0] :].clone() if key in cut else value for key, value in found.items()}
    same = {key: value for key, value in found.items() if wanted.get(key) == tuple(value.shape)}
    broken = tuple(key for key, value in same.items() if not _holds_numbers(value))
    return Fit(
        tensors={key: value for key, value in same.items() if key not in broken},
        cut=cut,
        missing={key: shape for key, shape in wanted.items() if key not in found},
        unexpected={key: tuple(value.shape) for key, value in found.items() if key not in wanted},
        misshapen={
            key: (tuple(found[key].shape), shape) for key, shape in wanted.items() if key in found and key not in same
        },
        broken=broken,
    )


def _holds_numbers(value: Tensor) -> bool:
    plain = value.layout == torch.strided and value.is_floating_point()
    return plain and is_finite(value)


def guess(found: dict[str, Tensor]) -> str | None:
    """The kind that a checkpoint looks like."""
    return next((name for name, kind in KINDS.items() if kind.sign in found), None)


def _too_long(key: str, value: Tensor, wanted: Shapes) -> bool:
    if not _GROWTH.fullmatch(key) or key not in wanted:
        return False
    return value.shape[0] > wanted[key][0] and tuple(value.shape[1:]) == wanted[key][1:]
