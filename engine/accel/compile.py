"""The tensor-only halves of each block, compiled: by torch's own compiler, or by TensorRT where torch_tensorrt is."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from shutil import which

import torch

from engine.errors import BadPreset
from engine.models.causal_dit import Block, CausalDiT

BACKENDS = {"inductor": "inductor", "tensorrt": "torch_tensorrt"}
SHAPES = 64  # rows, latent frames, LoRAs on or off; beyond torch's own limit of 8 it would stop compiling
NEEDS = {"inductor": "torch", "tensorrt": "torch_tensorrt"}


def _lacking(device: torch.device) -> str:
    """The tool that torch's own compiler needs on `device` and that is missing, or nothing."""
    if device.type == "cuda":
        return "" if find_spec("triton") else "triton"
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    cpp = os.environ.get("CXX") or usual  # as torch._inductor.config chooses
    return "" if device.type != "cpu" or which(cpp) else cpp


def apply(model: CausalDiT, compiler: str) -> int:
    """Compile the parts of each block before and after its attention to the memory, in place. Returns their number.

    All blocks have one shape, so what is compiled for the first serves the rest. It happens when a shape comes for the
    first time, which is while warming up. Raises BadPreset for a compiler that is unknown or not installed.
    """
    if compiler not in BACKENDS or find_spec(NEEDS[compiler]) is None:
        here = [name for name, package in NEEDS.items() if find_spec(package) is not None]
        raise BadPreset(f"there is no compiler {compiler!r} here", f"known: {', '.join(here)}")
    if compiler == "tensorrt":
        __import__(NEEDS[compiler])  # it registers itself
    if compiler == "inductor" and (lacking := _lacking(model.like.device)):
        raise BadPreset(f"the compiler needs {lacking}", 'install it, or set compiler = "none" in the preset')
    torch._dynamo.config.skip_nnmodule_hook_guards = False  # a LoRA is a hook that is added and removed
    torch._dynamo.config.cache_size_limit = SHAPES
    model.min_tokens = model.spec.text_len  # all prompts get one length, so that a new prompt compiles nothing
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    for block in blocks:
        for name in ("project", "finish"):
            compiled = torch.compile(getattr(block, name), backend=BACKENDS[compiler], dynamic=False)
            setattr(block, name, compiled)
    return 2 * len(blocks)
