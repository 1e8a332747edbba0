"""Chooses the attention kernel: those available on this device are timed at the real shape, and the fastest is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.errors import BadPreset
from engine.models.causal_dit import Attention, CausalDiT, Kernel, sdpa

TRIES = 3
QUERY_BLOCK = 256  # queries
KEY_SAMPLE_STRIDE = 8  # every 8th key is sampled to estimate a query's highest score
TORCH = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def apply(model: CausalDiT, choice: str, shape: tuple[int, int, int]) -> str:
    """Compute every attention of `model` with `choice`, for "auto" with the fastest. Returns the kernel's name.

    shape: rows, queries and keys of one call, which "auto" is measured at. Raises BadPreset for a name unknown here.
    """
    known = kernels(model.like.device, model.like.dtype)
    if choice not in ("auto", *known):
        raise BadPreset(
            f"there is no attention {choice!r} on {model.like.device.type}", f"known: auto, {', '.join(known)}"
        )
    tried = {name: kernel for name, kernel in known.items() if name != "math"}  # never the fastest; the most memory
    name = fastest(tried, model, shape) if choice == "auto" else choice
    for module in model.modules():
        if isinstance(module, Attention):
            module.kernel = known[name]
    return name


def kernels(device: torch.device, dtype: torch.dtype) -> Mapping[str, Kernel]:
    """Everything that may work for this device and dtype, by name; "torch" leaves the choice to torch."""
    found: dict[str, Kernel] = {"torch": sdpa}
    if device.type == "cuda":
        found |= {name: partial(_of_torch, backend) for name, backend in TORCH.items()}
        if find_spec("flash_attn_interface") is not None and dtype in (torch.float16, torch.bfloat16):
            found["flash3"] = flash3
    if device.type == "cpu" and dtype in (torch.float16, torch.bfloat16):
        found["products"] = blocked_matmul
    return found


def blocked_matmul(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor:
    """Attention as two matrix products with a softmax between them, which use a CPU's bfloat16 units. torch's kernel
    for CPUs does not.

    One head and `QUERY_BLOCK` queries at a time, so that scores stay in the processor's cache. They are rounded to
    bfloat16. So an estimate of each query's highest score is subtracted first, inside the product: this does not change
    the softmax, and the scores that matter become small numbers, where bfloat16 is precise.
    """
    batch, heads, length, size = q.shape
    seen = q.new_empty(batch, length, heads, size).transpose(
        1, 2
    )  # laid out token by token, as the next layer reads it
    scale = size**-0.5
    for row, head, start in product(range(batch), range(heads), range(0, length, QUERY_BLOCK)):
        block = row, head, slice(start, start + QUERY_BLOCK)
        highest = (q[block] @ k[row, head, ::KEY_SAMPLE_STRIDE].mT).amax(-1, keepdim=True)
        scores = torch.addmm(highest * -scale, q[block], k[row, head].mT, alpha=scale)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask.expand(batch, heads, length, -1)[block], float("-inf"))
        seen[block] = scores.softmax(-1) @ v[row, head]
    return seen


def flash3(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor:
    """FlashAttention 3, for Hopper, where it is installed. It takes no mask: calls with one go to torch."""
    if attn_mask is not None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    seen = import_module("flash_attn_interface").flash_attn_func(*(heads.transpose(1, 2) for heads in (q, k, v)))
    out: Tensor = seen[0] if isinstance(seen, tuple) else seen
    return out.transpose(1, 2)


@torch.inference_mode()
def fastest(known: Mapping[str, Kernel], model: CausalDiT, shape: tuple[int, int, int]) -> str:
    """The name of the fastest of `known` at `shape`, without those that fail there; "torch" if all fail."""
    if len(known) == 1:  # at full size a try takes seconds where there is no GPU
        return next(iter(known))
    rows, queries, keys = shape
    heads, size, like = model.spec.heads, model.spec.dim // model.spec.heads, model.like
    q, *kv = (like.new_empty(rows, length, heads, size).normal_().transpose(1, 2) for length in (queries, keys, keys))
    took: dict[str, float] = {}
    for name, kernel in known.items():
        try:
            took[name] = min(_seconds(partial(kernel, q, *kv, attn_mask=None)) for _ in range(TRIES))
        except (RuntimeError, ImportError):  # not on this card, or not at this shape
            continue
    return min(took, key=took.__getitem__, default="torch")


def _of_torch(backend: SDPBackend, q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None) -> Tensor:
    if attn_mask is not None:  # flash and cudnn take none
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(q, k, v)


def _seconds(work: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    out = work()
    if out.device.type == "cuda":
        torch.cuda.synchronize(out.device)
    return time.perf_counter() - began
