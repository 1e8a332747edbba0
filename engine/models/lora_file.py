"""A LoRA file as people share it -> low-rank pairs under the names of our linear layers.

Three ways of naming are common, and all of them are read:

  diffusion_model.blocks.0.self_attn.q.lora_A.weight      ComfyUI, Wan's own names (also lora_down, and no prefix)
  transformer.blocks.0.attn1.to_q.lora_A.weight           diffusers, its names for Wan's layers
  lora_unet_blocks_0_self_attn_q.lora_down.weight         kohya and musubi: dots are underscores, and .alpha beside it

The change of a weight is strength * alpha / rank * up @ down. Source: Hu et al. 2021, LoRA, arXiv:2106.09685.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import BadWeights
from engine.paths import models_folder
from engine.weights import is_finite

PREFIXES = ("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "model.")
UNDERSCORED = "lora_unet_"
DOWN, UP, ALPHA, BIAS = "down", "up", "alpha", "diff_b"
_ROLES = (  # how keys end; a name of its own may stand in the middle: lora_A.default.weight
    (r"\.lora_A(\.\w+)?\.weight$", DOWN),
    (r"\.lora_down\.weight$", DOWN),
    (r"\.lora_B(\.\w+)?\.weight$", UP),
    (r"\.lora_up\.weight$", UP),
    (r"\.alpha$", ALPHA),
    (r"\.diff_b$", BIAS),
    (r"\.lora_B(\.\w+)?\.bias$", BIAS),
)
_MORE = re.compile(r"\.(diff|diff_b|dora_scale|lok[rh]\w*|hada\w*|oft\w*)$")  # changes that are no low-rank pair
_DIFFUSERS = (
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])$", r".\1"),
    (r"\.to_out\.0$", ".o"),
    (r"\.ffn\.net\.0\.proj$", ".ffn.0"),
    (r"\.ffn\.net\.2$", ".ffn.2"),
    (r"^condition_embedder\.text_embedder\.linear_1$", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2$", "text_embedding.2"),
    (r"^condition_embedder\.time_embedder\.linear_1$", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2$", "time_embedding.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
    (r"^proj_out$", "head.head"),
)


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to one layer: up [out, rank], with alpha / rank in it, and down [rank, in]; bias [out] or None."""

    down: Tensor
    up: Tensor
    bias: Tensor | None = None


def lora_path(name: str) -> Path:
    """Where the LoRA called `name` lies."""
    return models_folder() / "loras" / f"{name}.safetensors"


def read_lora(path: Path, layers: Mapping[str, tuple[int, int]]) -> dict[str, LowRank]:
    """The LoRA in a safetensors file for a model of linear `layers`, {name: (in, out)}.

    Raises BadWeights, naming a key or shape, if the file is missing, damaged, or made for another model.
    """
    if not path.is_file():
        raise BadWeights(f"there is no LoRA {path}", "put the .safetensors file there; its name is the LoRA's name")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{path.name} cannot be read: {error}", "the file is damaged; fetch it again") from error
    if not tensors:
        raise BadWeights(f"{path.name} is empty", "fetch it again")
    found = _sort(tensors, {name.replace(".", "_"): name for name in layers}, path)
    return {name: _low_rank(path, name, parts, layers[name]) for name, parts in found.items()}


def _sort(tensors: Mapping[str, Tensor], flat: Mapping[str, str], path: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors by layer and role. flat: layers' names by their spelling with underscores."""
    found: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, tensor in tensors.items():
        name, role = _split(key)
        layer = flat.get(layer_name(name).replace(".", "_")) if role else None
        if layer is None:
            unknown.append(key)
        elif role in found.setdefault(layer, {}):
            raise BadWeights(f"{path.name} names {layer} twice, in different ways", "fetch it again")
        else:
            found[layer][role] = tensor
    if unknown:
        raise _refusal(path, unknown)
    return found


def _split(key: str) -> tuple[str, str]:
    """A key as a layer's name and its role; no role if it is no part of a LoRA."""
    for pattern, role in _ROLES:
        if match := re.search(pattern, key):
            return key[: match.start()], role
    return key, ""


def _refusal(path: Path, unknown: list[str]) -> BadWeights:
    first = next((key for key in unknown if not _MORE.search(key)), "")
    if not first:
        what = f"{path.name} changes more than linear layers by low rank: {unknown[0]}"
        return BadWeights(what, "use a plain LoRA, of lora_A and lora_B or lora_down and lora_up alone")
    more = f" and {len(unknown) - 1} more keys are" if unknown[1:] else " is"
    return BadWeights(f"{path.name} is for another model: {first}{more} not part of this one", _OTHER)


def layer_name(key: str) -> str:
    """A LoRA's name for a layer, without its last part, as Wan names it. Underscores may stand for dots."""
    key = key.removeprefix(UNDERSCORED).removeprefix("_")
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    for pattern, ours in _DIFFUSERS:
        key = re.sub(pattern, ours, key)
    return key


_OTHER = "use one that was trained for this preset's model (Wan 2.1, text to video, of the same size)"


def _low_rank(path: Path, name: str, parts: Mapping[str, Tensor], layer: tuple[int, int]) -> LowRank:
    down, up, bias = parts.get(DOWN), parts.get(UP), parts.get(BIAS)
    wide, out = layer
    if down is None or up is None:
        raise BadWeights(f"{path.name} is not whole: {name} has only {', '.join(parts)}", "fetch it again")
    rank = down.shape[0] if down.dim() == 2 else 0
    fits = rank > 0 and tuple(down.shape) == (rank, wide) and tuple(up.shape) == (out, rank)
    if not fits or (bias is not None and tuple(bias.shape) != (out,)):
        what = f"{name} is {list(up.shape)} x {list(down.shape)}, not [{out}, r] x [r, {wide}]"
        raise BadWeights(f"{path.name} is for another model: {what}", _OTHER)
    if ALPHA in parts and parts[ALPHA].numel() != 1:
        raise BadWeights(f"{path.name} is damaged: the alpha of {name} is no single number", "fetch it again")
    if not all(is_finite(part) for part in parts.values()):
        raise BadWeights(f"{path.name} holds values that are not numbers in {name}", "fetch it again")
    scale = float(parts[ALPHA]) / rank if ALPHA in parts else 1.0
    return LowRank(down, up.float() * scale, bias)
