"""The Wan autoencoder as a CPU runs it fastest: in channels_last layout, and frame by frame.

For small float32 inputs, torch's Conv3d kernel is many times slower than its Conv2d kernel. So the frames of a Conv3d
become channels of a Conv2d. In bfloat16 Conv3d is the faster one, and stays.

A 3x3 convolution of a picture that was doubled by repeating its pixels sees each of them up to four times: four 2x2
convolutions of the small picture, their weights added up beforehand, give the same sums with 4 multiplications for 9.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.causal import CausalState, Stateful
from engine.models.wan_vae import MIN_NORM, TIME, CausalConv, Grow, Norm, WanVae

CHANNELS_LAST, CHANNELS_LAST_3D = torch.channels_last, torch.channels_last_3d


def apply(codec: WanVae) -> None:
    """Change the layers of `codec` in place, weights included; for inference. It gives the same, to rounding."""
    for module in list(codec.modules()):
        if isinstance(module, Grow):
            module.resample = nn.Sequential(Doubling(module.conv))
        if isinstance(module, nn.Sequential):
            for index, layer in enumerate(module):
                if isinstance(layer, Norm):  # a SiLU follows
                    module[index], module[index + 1] = Activation(layer), nn.Identity()
        for name, layer in module.named_children():
            setattr(module, name, quick(layer))


def quick(layer: nn.Module) -> nn.Module:
    """A convolution laid out or replaced; any other layer as it is."""
    if isinstance(layer, nn.Conv3d) and layer.weight.dtype == torch.float32:
        return CausalFrames(layer) if isinstance(layer, CausalConv) else Frames(layer)
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        layer.weight = constant(layer.weight)
    return layer


class Activation(nn.Module):
    """Replaces a Norm and its SiLU: both in float32, so that a CPU converts only once."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.scale = constant(norm.gamma.float() * norm.gamma.shape[0] ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        exact = x.float()
        normed = exact / torch.linalg.vector_norm(exact, dim=1, keepdim=True).clamp_(min=MIN_NORM)
        return F.silu(normed.mul_(self.scale), inplace=True).to(x.dtype)


class Frames(nn.Module):
    """Replaces a Conv3d without padding in time: [1, C, T, H, W] -> [1, C', T', H', W']."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.depth, self.stride, self.padding = layer.kernel_size[0], layer.stride, layer.padding[1:]
        self.weight = constant(layer.weight.transpose(1, 2).flatten(1, 2))
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Frame by frame: as fast as all at once, with less memory."""
        frames = x[0].transpose(0, 1)
        firsts = range(0, len(frames) - self.depth + 1, self.stride[0])
        out = torch.cat([self._convolve(frames[first : first + self.depth]) for first in firsts])
        return out[None].transpose(1, 2)

    def _convolve(self, frames: Tensor) -> Tensor:
        """[T, C, H, W] -> [1, C', H', W']."""
        joined = frames.flatten(0, 1)[None].contiguous(memory_format=CHANNELS_LAST)
        return F.conv2d(joined, self.weight, self.bias, self.stride[1:], self.padding)


class CausalFrames(Frames, Stateful):
    """Replaces a CausalConv."""

    def forward(self, x: Tensor, past: CausalState) -> Tensor:  # type: ignore[override]
        return super().forward(past.prepend(x, self.depth - 1, TIME))


class Doubling(nn.Module):
    """Replaces nearest upsampling and a 3x3 convolution: [T, C, H, W] -> [T, C', 2H, 2W]."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = constant(added(added(layer.weight.float(), 2), 4).flatten(0, 2).to(layer.weight.dtype))
        self.bias = constant(layer.bias.repeat(4)) if layer.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """One convolution computes four pixels per position; those of odd rows and columns start one position later."""
        height, width = x.shape[2:]
        padded = F.conv2d(x, self.weight, self.bias, padding=1)
        quarters = padded.view(len(x), 2, 2, -1, height + 1, width + 1)
        shape = len(x), quarters.shape[3], 2 * height, 2 * width
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=CHANNELS_LAST)
        for row in range(2):
            for column in range(2):
                out[:, :, row::2, column::2] = quarters[:, column, row, :, row : row + height, column : column + width]
        return out


def added(weight: Tensor, axis: int) -> Tensor:
    """Three taps along `axis` over doubled pixels -> two over single ones, for the even and the odd: [2, ...]."""
    before, middle, after = weight.unbind(axis)
    even, odd = (before, middle + after), (before + middle, after)
    return torch.stack([torch.stack(taps, axis) for taps in (even, odd)])


def constant(weight: Tensor) -> nn.Parameter:
    """A parameter that is not trained, in channels_last layout if it is the weight of a convolution."""
    layout = {4: CHANNELS_LAST, 5: CHANNELS_LAST_3D}.get(weight.dim(), torch.preserve_format)
    return nn.Parameter(weight.detach().clone(memory_format=layout), requires_grad=False)
