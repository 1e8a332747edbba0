"""The only reader of our weight files: safetensors, checked key by key before anything in a module is changed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.checksum import checksum_path, is_damaged
from engine.errors import BadWeights
from engine.paths import PACKAGE, locate

QUICK = 64 * 2**20  # bytes; a file up to this size is compared with its checksum in a fraction of a second
REINSTALL = "reinstall latentcast, or choose another --preset"
MIN_ITEMSIZE = 2  # bytes; torch.isfinite does not take 8-bit floats


def load_weights(module: nn.Module, location: str, lazy: bool = False, skipped: Collection[str] = ()) -> None:
    """Load `module` from a safetensors file, keeping the module's own dtype and device.

    A module on the meta device has no memory to keep: it takes the file's tensors, mapped and in the file's dtype.
    A file that has a checksum beside it and is no larger than QUICK is compared with it; for larger ones, which would
    delay the first picture, `latentcast download` does that.
    lazy: leave the numbers in the file until they are used, without checking that they are finite.
    skipped: keys that belong to other parts of the model: those are not touched, and no checksum is made of the file.
    Raises BadWeights if the file is missing, damaged, or does not fit; the module is unchanged then.
    """
    path = locate(location)
    if not path.is_file():
        raise BadWeights(f"weights are missing: {path}", _where_from(location))
    try:
        tensors = _read(path, skipped)
        damaged = not skipped and path.stat().st_size <= QUICK and is_damaged(path)
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{path} cannot be read: {error}", "the file is damaged; fetch it again") from error
    if damaged:
        raise BadWeights(f"{path} is damaged: it is not what its checksum says", _remedy(location))
    if problem := _misfit(module.state_dict(), tensors, lazy):
        raise BadWeights(f"{path} does not fit this preset: {problem}", "it belongs to another model or version")
    module.load_state_dict(tensors, assign=any(weight.is_meta for weight in module.parameters()))


def _read(path: Path, skipped: Collection[str]) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys() if key not in skipped}  # noqa: SIM118


def _remedy(location: str) -> str:
    if location.startswith(PACKAGE):
        return REINSTALL
    return f"fetch or make it again; if it was changed on purpose, remove {checksum_path(locate(location)).name}"


def is_finite(tensor: Tensor) -> bool:
    """Whether all its values are finite, in any dtype."""
    wide = tensor if tensor.itemsize >= MIN_ITEMSIZE else tensor.float()
    return bool(wide.isfinite().all())


def _where_from(location: str) -> str:
    if location.startswith(PACKAGE):
        return REINSTALL
    return "fetch them with `latentcast download`, make the file with `python -m engine.convert`, or use --preset tiny"


def _misfit(wanted: dict[str, Tensor], found: dict[str, Tensor], lazy: bool) -> str:
    """The first difference between `found` and `wanted` in keys, shapes or values, or nothing."""
    if missing := sorted(wanted.keys() - found.keys()):
        return (
            f"{missing[0]} and {len(missing) - 1} more keys are missing" if missing[1:] else f"{missing[0]} is missing"
        )
    if unknown := sorted(found.keys() - wanted.keys()):
        return f"{unknown[0]} is not part of it"
    for key, tensor in wanted.items():
        if found[key].shape != tensor.shape:
            return f"{key} is {list(found[key].shape)}, not {list(tensor.shape)}"
        if not (lazy or is_finite(found[key])):
            return f"{key} holds values that are not numbers"
    return ""
