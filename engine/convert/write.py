"""One safetensors file, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import BadWeights


def write(tensors: dict[str, Tensor], target: Path) -> int:
    """Write `tensors` beside `target` and then rename; returns the file's size in bytes.

    Raises BadWeights if there is no room or no right to write; what was at `target` is untouched then.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(sum(tensor.nbytes for tensor in tensors.values()), target.parent)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part, metadata={"format": "pt"})
        os.replace(part, target)
    except (OSError, SafetensorError) as error:
        raise BadWeights(f"{target} cannot be written: {error}", "choose another place for OUT") from error
    finally:
        if part.exists():
            part.unlink()
    return target.stat().st_size


def _check_room(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        what = f"{folder} has {free / 2**30:.1f} GiB free, and the file takes {size / 2**30:.1f}"
        raise BadWeights(what, "make room, or choose another place for OUT")
