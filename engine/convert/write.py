"""One safetensors file, whole or not at all, written tensor by tensor: no second copy of a large model in memory.

Source: the format's description, https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from engine.checksum import checksum_path, write_checksum
from engine.errors import BadWeights

NUMBERS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def write(tensors: Mapping[str, Tensor], target: Path, dtype: torch.dtype | None = None) -> int:
    """Write `tensors` beside `target`, as `dtype` if given, and then rename; returns the file's size in bytes.

    Its checksum is written beside it, last: where this is interrupted there is none, and never that of another file.

    Raises BadWeights if there is no room or no right to write, or if a value is too large for `dtype`; what was at
    `target` is untouched then.
    """
    kinds = {key: dtype or _kept(tensor) for key, tensor in tensors.items()}
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(sum(tensor.numel() * kinds[key].itemsize for key, tensor in tensors.items()), target.parent)
        with part.open("wb") as opened:
            file = Digesting(opened)
            file.write(_header(tensors, kinds))
            for key, tensor in tensors.items():
                _write_numbers(file, key, tensor, kinds[key])
        checksum_path(target).unlink(missing_ok=True)
        os.replace(part, target)
        write_checksum(file.digest, target)
    except OSError as error:
        raise BadWeights(f"{target} cannot be written: {error}", "choose another place for OUT") from error
    finally:
        if part.exists():
            part.unlink()
    return target.stat().st_size


class Digesting:
    """A file whose checksum grows while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digester = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digester.update(data)

    @property
    def digest(self) -> str:
        """Of all that was written, in hex."""
        return self._digester.hexdigest()


def _kept(tensor: Tensor) -> torch.dtype:
    """As it was; what no model computes in (float64, 8 bits) becomes float32."""
    return tensor.dtype if tensor.dtype in _NAMES else torch.float32


def _header(tensors: Mapping[str, Tensor], kinds: Mapping[str, torch.dtype]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for key, tensor in tensors.items():
        end = start + tensor.numel() * kinds[key].itemsize
        entries[key] = {"dtype": _NAMES[kinds[key]], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)  # numbers begin where a processor likes to read them
    return len(text).to_bytes(8, "little") + text


def _write_numbers(file: Digesting, key: str, tensor: Tensor, dtype: torch.dtype) -> None:
    stored = tensor.detach().to(dtype).contiguous()
    if dtype != tensor.dtype and not stored.isfinite().all():
        raise BadWeights(f"{key} holds values too large for {dtype}", "keep it as it is, or choose bf16")
    file.write(stored.reshape(-1).view(torch.uint8).numpy().data)


def _check_room(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        what = f"{folder} has {free / 2**30:.1f} GiB free, and the file takes {size / 2**30:.1f}"
        raise BadWeights(what, "make room, or choose another place for OUT")
