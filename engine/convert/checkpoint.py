"""Checkpoints as their authors publish them -> tensors under plain Wan names. Never runs anything a file contains."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import BadWeights

WRAPPINGS = ("generator", "generator_ema", "state_dict")  # what training scripts put the model under, in this order
SHARDING = "_fsdp_wrapped_module."  # left in names, anywhere, by a model that was trained on many GPUs
PREFIX = "model."
DAMAGE = (  # all that the readers of these formats were seen to raise over damaged bytes
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, OSError, RuntimeError),
    *(ValueError, LookupError, AttributeError, TypeError, AssertionError),
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Every tensor of the model in `path`, a torch pickle or safetensors file, mapped rather than read.

    Raises BadWeights for a file that is missing, damaged, holds anything but plain data, or holds no tensors.
    """
    if not path.is_file():
        raise BadWeights(f"there is no file {path}", "give the path of the downloaded checkpoint")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except DAMAGE as error:
        raise BadWeights(
            f"{path} is damaged, or holds something other than tensors",
            "fetch it again and compare its checksum; code inside a checkpoint is never run",
        ) from error
    return _plain(_unwrap(loaded), path)


def _unpickle(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the age of the format: either it can be read or it is refused
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _unwrap(loaded: Any) -> Mapping[str, Any]:
    if not isinstance(loaded, Mapping):
        return {}
    return next((loaded[name] for name in WRAPPINGS if isinstance(loaded.get(name), Mapping)), loaded)


def _plain(wrapped: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    found = [(plain_name(str(key)), value) for key, value in wrapped.items() if isinstance(value, Tensor)]
    tensors = dict(found)
    if not tensors:
        raise BadWeights(f"{path} holds no tensors", f"they are looked for at the top or under {', '.join(WRAPPINGS)}")
    if len(tensors) < len(found):
        raise BadWeights(f"{path} holds the same layer twice under different names", "it is no published checkpoint")
    return tensors


def plain_name(key: str) -> str:
    """A checkpoint's key without what training left on it."""
    return key.replace(SHARDING, "").removeprefix(PREFIX)
