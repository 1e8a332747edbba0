"""Linear layers in 8-bit floats (e4m3): half the bytes and twice the multiplications a second on Hopper and Ada."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.errors import DeviceUnavailable

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max  # 448
ABILITY = (8, 9)  # CUDA compute capability of Ada; Hopper is (9, 0)


def apply(model: nn.Module) -> int:
    """Replace the linear layers inside the transformer's blocks, in place; how many.

    Embeddings, modulation and the head stay as they are: they are small, and the picture shows their rounding.
    Raises DeviceUnavailable on a GPU without 8-bit units, and where torch's kernel for them does not run: its builds
    for Windows have none, and those for newer cards not always.
    """
    weight = next(model.parameters())
    if weight.device.type not in ("cuda", "cpu"):
        raise DeviceUnavailable(f"{weight.device.type} has no 8-bit floats", "set fp8 = false in the preset")
    if weight.device.type == "cuda" and torch.cuda.get_device_capability(weight.device) < ABILITY:
        raise DeviceUnavailable("this GPU has no 8-bit floats", "set fp8 = false, or use an Ada or Hopper card")
    _try(weight.device)
    return replace_layers(model)


def replace_layers(model: nn.Module) -> int:
    """As `apply`, without asking what the device can do. One layer at a time, so that only one is in memory twice."""
    count = 0
    for module in model.get_submodule("blocks").modules():
        for name, layer in module.named_children():
            if type(layer) is nn.Linear and layer.in_features % 16 == 0 and layer.out_features % 16 == 0:
                setattr(module, name, Linear8(layer))
                count += 1
    return count


def _try(device: torch.device) -> None:
    """One small product, before a stream depends on it."""
    rows, scale = torch.zeros(16, 16, device=device, dtype=FP8), torch.ones(16, 1, device=device)
    try:
        scaled_product(rows, rows, scale, scale.T.contiguous(), scale[:, 0], torch.bfloat16)
    except RuntimeError as error:
        what = f"this build of torch multiplies no 8-bit floats here ({str(error).splitlines()[0]:.100})"
        raise DeviceUnavailable(what, "set fp8 = false in the preset, or update torch") from error


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """[.., K] -> 8-bit floats of the same shape, and one scale a row [.., 1] in float32; x is about their product."""
    largest = torch.linalg.vector_norm(x, torch.inf, dim=-1, keepdim=True)
    scale = largest.float().clamp(min=1e-12) / LARGEST
    return (x / scale).to(
        FP8
    ), scale  # float32 division can exceed LARGEST by one ulp; the cast rounds that to LARGEST, not NaN


class Linear8(nn.Linear):
    """A linear layer whose weights were rounded once, a scale for each output, and whose input is rounded as it comes,
    a scale for each token. A GPU sums products with fewer bits than float32 has on the way, more than the inputs have.
    """

    scale: Tensor

    def __init__(self, plain: nn.Linear) -> None:
        nn.Module.__init__(self)  # without the weights of a plain layer
        self.in_features, self.out_features = plain.in_features, plain.out_features
        weight, scale = quantise(plain.weight.detach())
        self.register_buffer("weight", weight)  # [out, in]
        self.register_buffer("scale", scale.T.contiguous())  # [1, out]
        self.register_buffer("bias", plain.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        tokens, scale = quantise(x.flatten(0, -2))
        out = scaled_product(tokens, self.weight, scale, self.scale, self.bias, x.dtype)
        return out.view(*x.shape[:-1], -1)


def scaled_product(a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """a [M, K], b [N, K] in 8 bits, scales [M, 1], [1, N] -> [M, N]: by the GPU's kernel; on a CPU the same sums."""
    if a.device.type == "cpu":
        return ((a.float() @ b.float().T) * scale_a * scale_b + bias.float()).to(dtype)
    half = bias.to(torch.bfloat16)  # row scales give bfloat16 only
    scales = {"scale_a": scale_a, "scale_b": scale_b}
    out = torch._scaled_mm(a, b.T, **scales, bias=half, out_dtype=torch.bfloat16, use_fast_accum=True)
    return out.to(dtype)
